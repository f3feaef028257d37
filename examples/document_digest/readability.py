"""How hard a text is to read: words, sentences, syllables, and the two Flesch scores.

The formulas are exact, the counts they rest on are rules of thumb for English: a sentence ends at a stop mark or with
its paragraph, and a syllable is a group of vowels. Scores of two texts compare well, one score alone is good to a few
points. For a text that is mostly in another script there is no score.
"""

import re
import unicodedata
from collections.abc import Iterator

from pydantic import BaseModel

WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
"""Letters and digits of any script; `don't` and `well-known` are one word."""

# The last of these are the stop marks of Chinese and Japanese, which no space follows.
_SENTENCE_END = re.compile(r"(?<=[.!?\u2026])[\"')\]\u201d\u2019]*\s+|(?<=[\u3002\uff01\uff1f])|\n\s*\n")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|cf|vs|etc|approx|no|fig|mr|mrs|ms|dr|prof|st)\.$", re.IGNORECASE)
_VOWELS = re.compile(r"[aeiouy]+")
# Vowels that are written but not spoken: made, hoped, homes; but not table, wanted, boxes.
_SILENT = re.compile(r"(?:[^laeiouy]e|[aeiouy]le|[^aeioutdy]ed|[^aeiouysxzcghl]es|[aeiouy]les)$")
# Neighbours that are two syllables: being, trivial (but not special, Italian), create (but not creature), science.
_HIATUS = re.compile(r"[aeiouy]ing$|(?<![cstx])ia(?!n)|crea(?=t[ei])|scie")


class Measures(BaseModel):
    """Counts of a text. They add up: those of a document are the sum of those of its sections."""

    characters: int = 0
    words: int = 0
    sentences: int = 0
    syllables: int = 0
    latin_words: int = 0

    def __add__(self, other: "Measures") -> "Measures":
        return Measures(
            characters=self.characters + other.characters,
            words=self.words + other.words,
            sentences=self.sentences + other.sentences,
            syllables=self.syllables + other.syllables,
            latin_words=self.latin_words + other.latin_words,
        )

    @property
    def reading_ease(self) -> float | None:
        """Flesch reading ease: 0 (very hard) to 100 (very easy), a little beyond for odd texts.

        Source: R. Flesch, A new readability yardstick, Journal of Applied Psychology 32 (1948), 221-233.
        """
        if not self._scores_apply:
            return None
        return 206.835 - 1.015 * self.words / self.sentences - 84.6 * self.syllables / self.words

    @property
    def grade(self) -> float | None:
        """Flesch-Kincaid grade: the years of schooling (United States) a reader needs.

        Source: J. P. Kincaid, R. P. Fishburne, R. L. Rogers, B. S. Chissom, Derivation of new readability formulas
        for Navy enlisted personnel, Research Branch Report 8-75, Naval Technical Training, Memphis (1975).
        """
        if not self._scores_apply:
            return None
        return 0.39 * self.words / self.sentences + 11.8 * self.syllables / self.words - 15.59

    @property
    def _scores_apply(self) -> bool:
        return self.sentences > 0 and self.latin_words > self.words / 2


def measure(text: str) -> Measures:
    """Counts the words, sentences and syllables of a text."""
    words = WORD.findall(text)
    return Measures(
        characters=len(text),
        words=len(words),
        sentences=sum(1 for _ in sentences(text)),
        syllables=sum(map(syllables, words)),
        latin_words=sum(map(_is_latin, words)),
    )


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text that hold a word."""
    sentence = ""
    for piece in _SENTENCE_END.split(text):
        sentence = f"{sentence} {piece}".strip() if sentence else piece.strip()
        if not _ABBREVIATION.search(sentence):
            if WORD.search(sentence):
                yield sentence
            sentence = ""
    if WORD.search(sentence):
        yield sentence


def syllables(word: str) -> int:
    """The syllables of an English word, by its groups of vowels; at least one."""
    plain = _without_accents(word).lower()
    groups = len(_VOWELS.findall(plain)) + len(_HIATUS.findall(plain))
    return max(1, groups - bool(_SILENT.search(plain)))


def _is_latin(word: str) -> bool:
    return _without_accents(word[0]).isascii()


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
