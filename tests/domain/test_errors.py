"""Errors say what a client needs to know: a stable code, a status, and when to come again."""

from karman_core.domain.errors import (
    ConditionFailed,
    InvalidRequest,
    KarmanError,
    NodeFailure,
    Problem,
    RateLimited,
    TransactionFailed,
)


def test_a_limited_client_is_told_when_to_come_again() -> None:
    error = RateLimited("Slow down.", 2.5)

    assert (error.code, error.status, error.retryable) == ("rate_limited", 429, True)
    assert error.retry_after_seconds == 2.5


def test_nothing_is_said_twice() -> None:
    told = InvalidRequest(
        "It is wrong.", [Problem("url", "wrong", "It is wrong."), Problem("", "odd", "It is odd.")]
    )

    assert str(told) == "It is wrong.\n  - It is odd. [odd]"


def test_codes_are_unique() -> None:
    def tree(cls: type[KarmanError]) -> list[type[KarmanError]]:
        return [cls, *(each for child in cls.__subclasses__() for each in tree(child))]

    codes = [cls.code for cls in tree(KarmanError) if cls.__module__ == KarmanError.__module__]

    assert len(codes) == len(set(codes))


def test_lost_conditions_carry_what_was_there() -> None:
    lost = ConditionFailed("somebody else was first", {"pk": "a"})
    several = TransactionFailed("two conditions lost", [0, 2], [{"pk": "a"}, None, None])
    assert (lost.old, str(lost)) == ({"pk": "a"}, "somebody else was first")
    assert (several.failed, several.old) == ((0, 2), ({"pk": "a"}, None, None))


def test_the_failure_of_a_node_says_whether_to_try_again() -> None:
    failure = NodeFailure("ValueError", "no number", "line 1", retry=False)
    assert (failure.kind, failure.message, failure.traceback) == ("ValueError", "no number", "line 1")
    assert not failure.retry
