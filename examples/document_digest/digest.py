"""Digests documents into one report: how readable they are, what they are about, which are alike.

    karman run examples/document_digest/digest.py --input folder=docs --input out=build/digest

One fanout inside another, each joined by a unite of its own:

    prepare > listing > split > analyse > document > collection > write

`listing` opens a branch for each document, `split` one for each section; `document` unites the sections, `collection`
the documents. Files that cannot be read are pruned and named in the report.
"""

from pathlib import Path

from pydantic import BaseModel

from karman import Graph, Node, NonRetryable, Prune, Retry

from .corpus import Analysis, Document, Report, Skipped, compare, describe
from .documents import TEXT_PATTERNS, UnreadableDocument, find, read
from .output import write_whole
from .page import render
from .readability import measure
from .sections import Section, split
from .terms import count_terms


class NothingToDigest(NonRetryable):
    """There is no document, or none that can be read; trying again would find none either."""


class Prepare(Node):
    """Checks what is asked for before any work is done, and makes its paths absolute."""

    class Inputs(BaseModel):
        """A folder, or files by name. Patterns select files in the folder; the report is written to `out`."""

        folder: Path | None = None
        files: list[Path] = []
        patterns: list[str] = list(TEXT_PATTERNS)
        max_files: int = 500
        out: Path = Path("digest")

    Outputs = Inputs

    def execute(self) -> Inputs:
        asked = self.inputs
        if (asked.folder is None) == (not asked.files):
            raise NothingToDigest("nothing to digest: give a folder, or a list of files")
        if asked.folder is not None and not asked.folder.is_dir():
            raise NothingToDigest(f"nothing to digest: there is no folder {asked.folder}")
        asked.out.mkdir(parents=True, exist_ok=True)
        return asked.model_copy(
            update={
                "folder": asked.folder and asked.folder.resolve(),
                "files": [file.absolute() for file in asked.files],
                "out": asked.out.resolve(),
            }
        )


class ListDocuments(Node):
    """Finds the documents; each is a branch of its own from here on."""

    Inputs = Prepare.Inputs

    class Outputs(BaseModel):
        """A document by its absolute path, and by its name in the report."""

        path: Path
        name: str

    def execute(self) -> list[Outputs]:
        asked = self.inputs
        if asked.folder is None:
            files, refused, root = asked.files, dict[str, str](), None
        else:
            # A report that was written into the folder is none of its documents.
            files, refused = find(asked.folder, asked.patterns, leave_out=asked.out)
            root = asked.folder
        for name, reason in refused.items():
            self.ctx.store.append("skipped", Skipped(path=name, reason=reason))
        if not files:
            raise NothingToDigest(f"nothing to digest: no file in {root} fits {', '.join(asked.patterns)}")
        self.ctx.store.set("left_out", max(0, len(files) - asked.max_files))
        return [
            self.Outputs(path=file, name=(file.relative_to(root) if root else file).as_posix())
            for file in files[: asked.max_files]
        ]


class SplitDocument(Node):
    """Reads a document and gives its sections; each is a branch inside the document's."""

    class Inputs(BaseModel):
        """What `ListDocuments` gives."""

        path: Path
        name: str

    Outputs = Section

    def execute(self) -> list[Section]:
        try:
            sections = split(self.inputs.name, read(self.inputs.path))
        except UnreadableDocument as error:
            raise self._skip(str(error)) from error
        if not sections:
            raise self._skip("no words in it")
        return sections

    def _skip(self, reason: str) -> Prune:
        """Ends the branch. What it writes to the store takes effect with that, once."""
        skipped = Skipped(path=self.inputs.name, reason=reason)
        self.ctx.store.append("skipped", skipped)
        return Prune(skipped)


class AnalyseSection(Node):
    """Counts what there is to count in a section."""

    Inputs = Section

    class Outputs(BaseModel):
        """The counts."""

        analysis: Analysis

    def execute(self) -> Outputs:
        title, text = self.inputs.title, self.inputs.text
        return self.Outputs(analysis=Analysis(title=title, measures=measure(text), terms=count_terms(text)))


class DescribeDocument(Node):
    """Unites the sections of a document."""

    class Inputs(BaseModel):
        """The document's name and its sections in their order."""

        name: str
        analyses: list[Analysis]

    class Outputs(BaseModel):
        """The document."""

        document: Document

    def execute(self) -> Outputs:
        return self.Outputs(document=describe(self.inputs.name, self.inputs.analyses))


class CompareDocuments(Node):
    """Unites the documents: weights and likeness need all of them."""

    class Inputs(BaseModel):
        """The documents, and what was noted on the way."""

        documents: list[Document]
        skipped: list[Skipped]
        left_out: int

    class Outputs(BaseModel):
        """The report."""

        report: Report

    def execute(self) -> Outputs:
        if not self.inputs.documents:
            reasons = "; ".join(f"{file.path}: {file.reason}" for file in self.inputs.skipped[:5])
            raise NothingToDigest(f"nothing to digest: no document can be read ({reasons})")
        return self.Outputs(report=compare(self.inputs.documents, self.inputs.skipped, self.inputs.left_out))


class WriteReport(Node):
    """Writes the report. Run twice, it leaves the same two files."""

    class Inputs(BaseModel):
        """The report and the folder for it."""

        report: Report
        out: Path

    class Outputs(BaseModel):
        """Where the report is, and its totals."""

        html: Path
        json_file: Path
        documents: int
        sections: int
        words: int
        skipped: int

    def execute(self) -> Outputs:
        report, out = self.inputs.report, self.inputs.out
        write_whole(out / "report.json", report.model_dump_json(indent=2) + "\n")
        write_whole(out / "report.html", render(report))
        return self.Outputs(
            html=out / "report.html",
            json_file=out / "report.json",
            documents=report.totals.documents,
            sections=report.totals.sections,
            words=report.totals.measures.words,
            skipped=report.totals.skipped,
        )


graph = Graph(
    "document_digest",
    description="Readability, keywords and likeness of a folder of documents",
    retry=Retry.exponential(3, first=0.5, jitter="full"),
    store_defaults={"skipped": [], "left_out": 0},
)
prepare = graph.add(Prepare, "prepare")
listing = graph.add(
    ListDocuments,
    "listing",
    folder=prepare.outputs.folder,
    files=prepare.outputs.files,
    patterns=prepare.outputs.patterns,
    max_files=prepare.outputs.max_files,
    out=prepare.outputs.out,
)
split_document = graph.add(SplitDocument, "split", path=listing.outputs.path, name=listing.outputs.name)
analyse = graph.add(
    AnalyseSection, "analyse", title=split_document.outputs.title, text=split_document.outputs.text
)
document = graph.add(
    DescribeDocument,
    "document",
    unites=split_document,
    name=listing.outputs.name,
    analyses=analyse.outputs.analysis,  # inside the group: a list, one a section
)
collection = graph.add(
    CompareDocuments,
    "collection",
    unites=listing,
    documents=document.outputs.document,  # a list, one a document
    skipped=graph.store.skipped,
    left_out=graph.store.left_out,
)
write = graph.add(WriteReport, "write", report=collection.outputs.report, out=prepare.outputs.out)

prepare >> listing >> split_document >> analyse >> document >> collection >> write
