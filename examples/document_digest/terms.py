"""Which words stand out: term frequencies, their weights in a collection (TF-IDF), and the likeness of documents.

A term's weight in a document is `tf * idf`, scaled so that the squares of a document's weights add up to 1:

    tf   how often the term occurs in the document
    idf  ln((1 + N) / (1 + df)) + 1, with N documents, df of which have the term

The likeness of two documents is the cosine of their weights: 0 without a common term, 1 for the same proportions.

Sources: K. Sparck Jones, A statistical interpretation of term specificity and its application in retrieval, Journal
of Documentation 28 (1972), 11-21; G. Salton, C. Buckley, Term-weighting approaches in automatic text retrieval,
Information Processing & Management 24 (1988), 513-523. The smoothing (1 + N, 1 + df, + 1) is scikit-learn's.
"""

import heapq
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from .readability import WORD

LONGEST_TERM = 40
"""Longer ones are encoded data, not words."""

SHORTEST_SINGULAR = 3
STOP_WORDS = frozenset(
    """a about above after again against all also am an and any are as at be because been before being below between
    both but by can cannot could did do does doing don't down during each either else ever every few first for from
    further get gets give given gives go goes had has have having he her here hers him his how however i if in into is
    isn't it it's its itself just let like made make makes many may me might more most much must my neither never next
    no none nor not now of off often on once one only onto or other others otherwise our out over own per same says
    see set shall she should since so some such than that that's the their them then there these they this those
    though through thus to too two under until up upon us use used uses using very via was we well were what when
    where whether which while who whom whose why will with within without would yet you your""".split()  # noqa: SIM905 - a list would take two hundred lines
)


def count_terms(text: str) -> Counter[str]:
    """How often each term occurs: words of two letters or more, case folded, no stop words, no numbers."""
    # NFKC makes one of characters that look alike, such as full-width and plain letters.
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    words = (word.removesuffix("'s") for word in WORD.findall(folded))
    return Counter(word for word in words if _is_term(word))


def _is_term(word: str) -> bool:
    return 1 < len(word) <= LONGEST_TERM and word not in STOP_WORDS and not word[0].isdigit()


def add_up(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """The counts of several texts taken as one."""
    total = Counter[str]()
    for count in counts:
        total.update(count)
    return total


def fold_plurals(documents: Sequence[Mapping[str, int]]) -> list[Counter[str]]:
    """The documents' counts, with plurals in -s and -es counted as their singulars, where these occur as well."""
    known = {term for document in documents for term in document}
    singular = {
        term: base
        for term in known
        for base in (term.removesuffix("es"), term.removesuffix("s"))
        if base != term and base in known and len(base) >= SHORTEST_SINGULAR
    }
    return [
        add_up({singular.get(term, term): count} for term, count in document.items())
        for document in documents
    ]


def document_frequencies(documents: Iterable[Mapping[str, int]]) -> Counter[str]:
    """In how many documents each term occurs."""
    return Counter(term for document in documents for term in document)


def weigh(document: Mapping[str, int], frequencies: Mapping[str, int], documents: int) -> dict[str, float]:
    """The weights of a document's terms; empty if it has none."""
    raw = {
        term: count * (math.log((1 + documents) / (1 + frequencies[term])) + 1)
        for term, count in document.items()
    }
    length = math.hypot(*raw.values())
    return {term: weight / length for term, weight in raw.items()}


def top(weights: Mapping[str, float], number: int) -> list[tuple[str, float]]:
    """The terms of the greatest weight, first ones first; equal weights by the alphabet."""
    return heapq.nsmallest(number, weights.items(), key=lambda item: (-item[1], item[0]))


def likenesses(documents: Sequence[Mapping[str, float]]) -> dict[tuple[int, int], float]:
    """The cosine of each pair of documents that have a term in common, by their positions (smaller one first)."""
    pairs = combinations(range(len(documents)), 2)
    cosines = ((pair, _dot(documents[pair[0]], documents[pair[1]])) for pair in pairs)
    return {pair: cosine for pair, cosine in cosines if cosine > 0}


def _dot(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    fewer, more = sorted((one, other), key=len)
    return math.fsum(weight * more[term] for term, weight in fewer.items() if term in more)
