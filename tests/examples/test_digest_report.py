"""What the report says of a collection, and that its page is safe and whole."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from examples.document_digest.corpus import Analysis, Document, Report, Skipped, compare, describe
from examples.document_digest.output import write_whole
from examples.document_digest.page import ease_name, render
from examples.document_digest.readability import measure
from examples.document_digest.terms import count_terms

HOSTILE = "</title><script>alert('x')</script>\"><img src=x onerror=alert(1)> & \u202egnp"


def document(path: str, *sections: str) -> Document:
    analyses = [
        Analysis(title=f"part {number}", measures=measure(text), terms=count_terms(text))
        for number, text in enumerate(sections)
    ]
    return describe(path, analyses)


@pytest.fixture
def report() -> Report:
    return compare(
        [
            document("b.md", "Dogs bark. Dogs run.", "A considerable deliberation."),
            document("a.md", "Cats sleep. Cats run."),
        ],
        [Skipped(path="z.bin", reason="binary, not text")],
        left_out=2,
    )


def test_sections_add_up_to_the_document() -> None:
    one = document("x.md", "Dogs bark. Dogs run.", "A considerable deliberation.")

    assert one.sections == 2
    assert one.measures.words == 7
    assert one.measures.sentences == 3
    assert one.terms == {"dogs": 2, "bark": 1, "run": 1, "considerable": 1, "deliberation": 1}
    assert one.hardest_section == "part 1"
    assert one.most_used[0] == "dogs"


def test_documents_add_up_to_the_collection(report: Report) -> None:
    assert [one.path for one in report.documents] == ["a.md", "b.md"]
    totals = report.totals
    assert (totals.documents, totals.sections, totals.skipped, totals.left_out) == (2, 3, 1, 2)
    assert totals.measures.words == 11
    assert totals.terms == 7


def test_keywords_say_what_is_special_of_each(report: Report) -> None:
    cats, dogs = report.documents

    assert cats.keywords[0].term == "cats"
    assert (cats.keywords[0].count, cats.keywords[0].documents) == (2, 1)
    assert dogs.keywords[0].term == "dogs"
    assert {keyword.term for keyword in report.keywords} >= {"cats", "dogs", "run"}


def test_the_only_common_term_makes_them_alike(report: Report) -> None:
    (pair,) = report.pairs

    assert (pair.first, pair.second) == ("a.md", "b.md")
    assert 0 < pair.likeness < 1
    assert report.documents[0].nearest is not None
    assert report.documents[0].nearest.path == "b.md"


def test_the_order_of_arrival_does_not_matter() -> None:
    documents = [document(f"{name}.md", f"{name} words about {name}.") for name in ("x", "y", "z")]

    assert compare(documents) == compare(documents[::-1])


def test_documents_without_a_score_do_not_spoil_that_of_the_collection() -> None:
    english = document("a.md", "Cats sleep.")

    report = compare([english, document("b.md", "Кошки спят очень долго и сладко каждый день")])

    assert report.totals.reading_ease == round(english.measures.reading_ease or 0, 1)
    assert report.documents[1].reading_ease is None


def test_an_empty_collection_is_a_report_as_well() -> None:
    page = render(compare([]))

    assert "<!doctype html>" in page


@pytest.mark.parametrize(
    ("score", "name"),
    [
        (121.2, "very easy"),
        (60, "plain"),
        (59.9, "fairly hard"),
        (30, "hard"),
        (-5, "very hard"),
        (None, "for English only"),
    ],
)
def test_scores_have_flesch_s_names(score: float | None, name: str) -> None:
    assert ease_name(score) == name


class Reader(HTMLParser):
    """Collects tags, and checks that they are closed in order."""

    VOID = frozenset(("meta", "link", "img", "br"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_else(report: Report) -> None:
    page = render(report)

    tags = Reader(page).tags
    names = {tag for tag, _ in tags}
    assert names.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert not re.search(r"https?://|url\(|@import", page)
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {a for _, attributes in tags for a in (attributes.get("aria-labelledby") or "").split()}
    assert labels <= set(ids)
    assert sum(tag == "svg" and attributes["role"] == "img" for tag, attributes in tags) == 2


def test_hostile_content_stays_content() -> None:
    hostile = document(f"{HOSTILE}.md", HOSTILE)
    terms = {f"<b>{HOSTILE}": 3}
    report = compare(
        [hostile.model_copy(update={"terms": terms}), document("a.md", HOSTILE)],
        [Skipped(path=HOSTILE, reason=HOSTILE)],
    )

    page = render(report)

    tags = Reader(page).tags
    assert {"script", "img", "b"}.isdisjoint(tag for tag, _ in tags)
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert "default-src 'none'" in page


def test_many_documents_are_charted_in_part_and_listed_in_full() -> None:
    page = render(compare([document(f"{n:03}.md", f"word{n} again.") for n in range(60)]))

    assert "The 40 longest of 60 documents are shown." in page
    assert page.count('role="row"') == 61


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.json"

    write_whole(path, "old")
    write_whole(path, "größe\n")

    assert path.read_bytes() == "größe\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_whole(path, "old")

    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_report_survives_json(report: Report) -> None:
    assert Report.model_validate(json.loads(report.model_dump_json())) == report
