"""Weights and likeness, against a computation of another kind: matrices and hand-made numbers."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.document_digest.terms import (
    add_up,
    count_terms,
    document_frequencies,
    fold_plurals,
    likenesses,
    top,
    weigh,
)

TEXTS = (
    "The cat chases the mouse. The mouse runs.",
    "A dog chases the cat and the cat runs up a tree.",
    "Trees grow slowly.",
)


def test_terms_are_folded_and_stop_words_left_out() -> None:
    assert count_terms("The QUEUE's queue, queues; straße STRASSE x 42 don\u2019t") == {
        "queue": 2,
        "queues": 1,
        "strasse": 2,
    }
    assert count_terms("ﬁle FILE \uff46\uff49\uff4c\uff45") == {"file": 3}
    assert count_terms("x" * 41) == {}
    assert count_terms("Это тест, тест") == {"это": 1, "тест": 2}


def test_plurals_count_as_singulars_where_these_occur_in_any_document() -> None:
    documents = [
        {"node": 1, "nodes": 2, "branches": 1, "news": 1},
        {"branch": 3, "aws": 1, "nodes": 1, "is": 1, "i": 1},
    ]

    assert fold_plurals(documents) == [
        {"node": 3, "branch": 1, "news": 1},
        {"branch": 3, "aws": 1, "node": 1, "is": 1, "i": 1},
    ]


def independent_weights(texts: tuple[str, ...]) -> list[dict[str, float]]:
    """TF-IDF written down a second time: a dense matrix, term by term, with logarithms to base 2."""
    stop = {"the", "a", "and", "up"}
    rows = [[w for w in t.lower().replace(".", "").split() if w not in stop] for t in texts]
    vocabulary = sorted({word for row in rows for word in row})
    idf = {
        word: math.log2((1 + len(texts)) / (1 + sum(word in row for row in rows))) * math.log(2) + 1
        for word in vocabulary
    }
    matrix = [[row.count(word) * idf[word] for word in vocabulary] for row in rows]
    lengths = [sum(value**2 for value in row) ** 0.5 for row in matrix]
    return [
        {word: value / length for word, value in zip(vocabulary, row, strict=True) if value}
        for row, length in zip(matrix, lengths, strict=True)
    ]


def test_weights_are_those_of_an_independent_computation() -> None:
    counts = [count_terms(text) for text in TEXTS]
    frequencies = document_frequencies(counts)

    weights = [weigh(count, frequencies, len(counts)) for count in counts]

    expected = independent_weights(TEXTS)
    assert [set(one) for one in weights] == [set(one) for one in expected]
    for one, other in zip(weights, expected, strict=True):
        assert one == pytest.approx(other)


def test_likeness_by_hand() -> None:
    # cat, chases, mouse x2, runs / dog, chases, cat x2, runs, tree: common are cat, chases and runs, in 2 of 3 each.
    counts = [count_terms(text) for text in TEXTS]
    frequencies = document_frequencies(counts)
    common, rare = math.log(4 / 3) + 1, math.log(4 / 2) + 1
    first = math.sqrt(3 * common**2 + (2 * rare) ** 2)
    second = math.sqrt(2 * common**2 + (2 * common) ** 2 + 2 * rare**2)

    found = likenesses([weigh(count, frequencies, 3) for count in counts])

    assert found == {(0, 1): pytest.approx((common * 2 * common + 2 * common**2) / (first * second))}


def test_top_is_by_weight_then_by_the_alphabet() -> None:
    assert top({"b": 1.0, "a": 1.0, "c": 2.0, "d": 0.5}, 3) == [("c", 2.0), ("a", 1.0), ("b", 1.0)]


COUNTS = st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 9)), max_size=6)


@given(COUNTS)
def test_weights_have_length_one_and_likeness_is_between_none_and_full(
    documents: list[dict[str, int]],
) -> None:
    frequencies = document_frequencies(documents)
    weights = [weigh(document, frequencies, len(documents)) for document in documents]

    assert all(math.isclose(math.hypot(*one.values()), 1) for one in weights if one)
    assert all(0 < likeness <= 1 + 1e-9 for likeness in likenesses(weights).values())


@given(COUNTS)
def test_counts_of_parts_add_up_to_those_of_the_whole(parts: list[dict[str, int]]) -> None:
    words = [word for part in parts for word, count in part.items() for _ in range(count)]

    assert add_up(parts) == Counter(words)


def test_a_document_is_most_like_its_copy() -> None:
    counts = [count_terms(text) for text in (*TEXTS, TEXTS[0])]
    frequencies = document_frequencies(counts)

    found = likenesses([weigh(count, frequencies, len(counts)) for count in counts])

    assert found[0, 3] == pytest.approx(1)
