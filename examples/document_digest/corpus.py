"""What the sections say together about a document, and the documents about the collection: the report's content.

Nothing in it depends on the time or the machine, so that digesting the same files again gives the same report.
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from .readability import Measures
from .terms import add_up, document_frequencies, fold_plurals, likenesses, top, weigh

KEYWORDS_OF_DOCUMENT = 8
KEYWORDS_OF_COLLECTION = 20
PAIRS = 20


class Analysis(BaseModel):
    """What analysing a section gives."""

    title: str
    measures: Measures
    terms: dict[str, int]


class Document(BaseModel):
    """What the sections of a document give together. `most_used` are its terms by count alone."""

    path: str
    sections: int
    hardest_section: str
    measures: Measures
    terms: dict[str, int]
    most_used: list[str]


class Skipped(BaseModel):
    """A file that is not in the report, and why."""

    path: str
    reason: str


class Keyword(BaseModel):
    """A term and how it stands out: by weight in a document, by mean weight in the collection."""

    term: str
    count: int
    documents: int
    weight: float


class Neighbour(BaseModel):
    """The document most like another one."""

    path: str
    likeness: float


class DocumentReport(BaseModel):
    """A document among the others. Scores are None where they do not apply (see `readability`)."""

    path: str
    sections: int
    measures: Measures
    reading_ease: float | None
    grade: float | None
    hardest_section: str
    keywords: list[Keyword]
    nearest: Neighbour | None


class Pair(BaseModel):
    """Two documents that are alike."""

    first: str
    second: str
    likeness: float


class Totals(BaseModel):
    """The collection in numbers."""

    documents: int
    skipped: int
    left_out: int
    sections: int
    terms: int
    measures: Measures
    reading_ease: float | None
    grade: float | None


class Report(BaseModel):
    """All that the digest found. Documents and skipped files by path, keywords and pairs by weight."""

    totals: Totals
    keywords: list[Keyword]
    documents: list[DocumentReport]
    pairs: list[Pair]
    skipped: list[Skipped]


def describe(path: str, analyses: Sequence[Analysis]) -> Document:
    """A document from its sections."""
    terms = add_up(analysis.terms for analysis in analyses)
    scored = [(ease, a.title) for a in analyses if (ease := a.measures.reading_ease) is not None]
    return Document(
        path=path,
        sections=len(analyses),
        hardest_section=min(scored)[1] if scored else "",
        measures=sum((analysis.measures for analysis in analyses), Measures()),
        terms=terms,
        most_used=[term for term, _ in top(terms, KEYWORDS_OF_DOCUMENT)],
    )


def compare(documents: Sequence[Document], skipped: Sequence[Skipped] = (), left_out: int = 0) -> Report:
    """The report on a collection."""
    documents = sorted(documents, key=lambda document: document.path)
    folded = fold_plurals([document.terms for document in documents])
    documents = [d.model_copy(update={"terms": terms}) for d, terms in zip(documents, folded, strict=True)]
    frequencies = document_frequencies(document.terms for document in documents)
    weights = [weigh(document.terms, frequencies, len(documents)) for document in documents]
    cosines = likenesses(weights)
    nearest = _nearest(documents, cosines)
    return Report(
        totals=_totals(documents, terms=len(frequencies), skipped=len(skipped), left_out=left_out),
        keywords=_keywords_of_collection(documents, weights, frequencies),
        documents=[
            _report(document, _keywords(document, of_document, frequencies), nearest.get(document.path))
            for document, of_document in zip(documents, weights, strict=True)
        ],
        pairs=_pairs(documents, cosines),
        skipped=sorted(skipped, key=lambda file: file.path),
    )


def _report(document: Document, keywords: list[Keyword], nearest: Neighbour | None) -> DocumentReport:
    measures = document.measures
    return DocumentReport(
        path=document.path,
        sections=document.sections,
        measures=measures,
        reading_ease=_rounded(measures.reading_ease),
        grade=_rounded(measures.grade),
        hardest_section=document.hardest_section,
        keywords=keywords,
        nearest=nearest,
    )


def _totals(documents: Sequence[Document], *, terms: int, skipped: int, left_out: int) -> Totals:
    measures = sum((document.measures for document in documents), Measures())
    scored = sum((d.measures for d in documents if d.measures.reading_ease is not None), Measures())
    return Totals(
        documents=len(documents),
        skipped=skipped,
        left_out=left_out,
        sections=sum(document.sections for document in documents),
        terms=terms,
        measures=measures,
        reading_ease=_rounded(scored.reading_ease),
        grade=_rounded(scored.grade),
    )


def _keywords(
    document: Document, weights: Mapping[str, float], frequencies: Mapping[str, int]
) -> list[Keyword]:
    return [
        Keyword(term=term, count=document.terms[term], documents=frequencies[term], weight=round(weight, 4))
        for term, weight in top(weights, KEYWORDS_OF_DOCUMENT)
    ]


def _keywords_of_collection(
    documents: Sequence[Document], weights: Sequence[Mapping[str, float]], frequencies: Mapping[str, int]
) -> list[Keyword]:
    """By the mean of a term's weights, so that a long document counts as much as a short one."""
    counts = add_up(document.terms for document in documents)
    means = dict.fromkeys(counts, 0.0)
    for of_document in weights:
        for term, weight in of_document.items():
            means[term] += weight / len(documents)
    return [
        Keyword(term=term, count=counts[term], documents=frequencies[term], weight=round(mean, 4))
        for term, mean in top(means, KEYWORDS_OF_COLLECTION)
    ]


def _nearest(documents: Sequence[Document], cosines: Mapping[tuple[int, int], float]) -> dict[str, Neighbour]:
    nearest: dict[str, Neighbour] = {}
    for (i, j), cosine in cosines.items():
        for one, other in ((documents[i].path, documents[j].path), (documents[j].path, documents[i].path)):
            if one not in nearest or cosine > nearest[one].likeness:
                nearest[one] = Neighbour(path=other, likeness=cosine)
    return {path: Neighbour(path=n.path, likeness=round(n.likeness, 4)) for path, n in nearest.items()}


def _pairs(documents: Sequence[Document], cosines: Mapping[tuple[int, int], float]) -> list[Pair]:
    best = sorted(cosines.items(), key=lambda item: (-item[1], item[0]))[:PAIRS]
    return [
        Pair(first=documents[i].path, second=documents[j].path, likeness=round(cosine, 4))
        for (i, j), cosine in best
    ]


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 1)
