import pytest

from examples.document_digest.readability import Measures, measure, sentences, syllables

# Whoever counts by hand comes to the same: 13 words, 1 sentence, 24 syllables.
PLATYPUS = "The Australian platypus is seemingly a hybrid of a mammal and reptilian creature."


def test_the_scores_of_a_published_example() -> None:
    measures = measure(PLATYPUS)

    assert (measures.words, measures.sentences, measures.syllables) == (13, 1, 24)
    assert measures.grade == pytest.approx(0.39 * 13 + 11.8 * 24 / 13 - 15.59)
    assert measures.grade == pytest.approx(11.3, abs=0.05)  # as published
    assert measures.reading_ease == pytest.approx(206.835 - 1.015 * 13 - 84.6 * 24 / 13)


def test_the_easiest_text_there_can_be() -> None:
    # One word of one syllable a sentence: the formula's upper bound.
    assert measure("Go. Stop. Run.").reading_ease == pytest.approx(121.22)


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("the", 1), ("made", 1), ("hoped", 1), ("homes", 1), ("table", 2), ("wanted", 2), ("boxes", 2),
        ("people", 2), ("engine", 2), ("queue", 1), ("files", 1), ("caches", 2), ("creature", 2), ("create", 2),
        ("science", 2), ("being", 2), ("trivial", 3), ("special", 2), ("document", 3), ("readability", 5),
        ("orchestrator", 4), ("hmm", 1), ("42", 1), ("Äpfel", 2),
    ],
)  # fmt: skip
def test_syllables(word: str, count: int) -> None:
    assert syllables(word) == count


def test_sentences_end_at_stops_and_with_paragraphs_but_not_at_abbreviations() -> None:
    text = 'Use it, e.g. for tests. It costs 3.14 euro! Does it? "Yes."\n\nA heading\n\nan item\n\n***'

    assert list(sentences(text)) == [
        "Use it, e.g. for tests.",
        "It costs 3.14 euro!",
        "Does it?",
        '"Yes.',
        "A heading",
        "an item",
    ]


def test_words_are_counted_in_any_script_but_scored_in_latin_alone() -> None:
    russian = measure("Это простое предложение. Вот и второе.")
    japanese = measure("日本語の文章です。これは二番目の文です。")

    assert (russian.words, russian.sentences) == (6, 2)
    assert japanese.sentences == 2
    assert russian.reading_ease is None
    assert japanese.grade is None
    assert measure("Das hübsche Café öffnet früh.").reading_ease is not None


def test_a_text_without_words_has_no_scores() -> None:
    assert measure("--- *** ...") == Measures(characters=11)
    assert measure("").reading_ease is None


def test_measures_add_up() -> None:
    one, other = "The cat sat. It slept.", "Documentation is readable."

    assert measure(one) + measure(other) == measure(f"{one}\n\n{other}").model_copy(
        update={"characters": len(one) + len(other)}
    )
