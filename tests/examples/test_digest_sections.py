import pytest

from examples.document_digest.sections import MAX_CHARACTERS, split

MARKDOWN = """Intro <!-- hidden --> *with* `code` and a [link](https://example.org/x), ![image](x.png).

# One #

First paragraph
goes on.
- an item
- another

```python
# no heading
words = "in code"
```

Two
---
| name | value |
|------|-------|
| a_b  | c     |
"""

RST = """=====
Title
=====

See :func:`run` and `the site <https://example.org>`_::

    literal code

.. code-block:: python

   more code

.. note::

   A note.

Below
-----
End.
"""

HTML = """<html><head><title>no</title><style>no {}</style></head><body>
<p>Tea &amp; <b>cake</b>.<h2>A <i>head</i></h2><script>no()</script><ul><li>one<li>two</ul>"""

PYTHON = '''"""Module."""
# A remark
# on two lines.
code = "no"

class A:
    """Class."""

    def b(self):
        """Method."""
        return 1  # why

async def c(): ...
'''


def words(path: str, text: str) -> list[tuple[str, str]]:
    return [(section.title, " ".join(section.text.split())) for section in split(path, text)]


def test_markdown() -> None:
    assert words("x.md", MARKDOWN) == [
        ("", "Intro with code and a link, ."),
        ("One", "One First paragraph goes on. an item another"),
        ("Two", "Two name value a_b c"),
    ]


def test_rst() -> None:
    assert words("x.rst", RST) == [
        ("Title", "Title See run and the site. A note."),
        ("Below", "Below End."),
    ]


def test_html() -> None:
    assert words("x.HTML", HTML) == [("", "Tea & cake."), ("A head", "A head one two")]


def test_python() -> None:
    assert words("x.py", PYTHON) == [
        ("", "Module. A remark on two lines."),
        ("A", "A Class. Method. why"),
        ("c", "c"),
    ]


def test_python_that_does_not_parse_is_text() -> None:
    assert words("x.py", "def def: pass") == [("", "def def: pass")]
    assert words("x.py", "x = \0") == [("", "x = \0")]
    assert words("x.py", "x = " + "(" * 5000)[0][0] == ""
    assert words("x.py", "-" * 100_000 + "x")[0][0] == ""


def test_other_files_are_text() -> None:
    assert words("x.txt", "# no heading\n\n***\n") == [("", "# no heading *** ".strip())]


@pytest.mark.parametrize("path", ["x.md", "x.rst", "x.html", "x.py", "x.txt"])
def test_without_words_there_is_no_section(path: str) -> None:
    assert split(path, "---\n\n***\n") == []


def test_long_sections_are_cut_between_paragraphs_and_lose_nothing() -> None:
    text = "\n\n".join(f"paragraph {number} " + "word " * 50 for number in range(500))

    pieces = split("x.txt", text)

    assert len(pieces) > 5
    assert max(len(piece.text) for piece in pieces) <= MAX_CHARACTERS
    assert all(piece.text.startswith("paragraph") for piece in pieces)
    assert " ".join(piece.text for piece in pieces).split() == text.split()


def test_text_without_spaces_is_cut_anywhere() -> None:
    pieces = split("x.txt", "a" * (2 * MAX_CHARACTERS + 1))

    assert [len(piece.text) for piece in pieces] == [MAX_CHARACTERS, MAX_CHARACTERS, 1]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "mark", ["<", "[", "*", "`", "_", "![", ":a", "::\n", "#", "\n", "<!--", "<!", "<?", "<a ", " ", "|"]
)
@pytest.mark.parametrize("path", ["x.md", "x.rst", "x.html", "x.py"])
def test_hostile_markup_takes_no_time(path: str, mark: str) -> None:
    split(path, mark * (300_000 // len(mark)))
