"""What `execute` may return or raise beside outputs.

`Prune`, `RequeueAfter` and `WaitFor` are exceptions, so that code deep inside a node can end it; they derive from
BaseException, so that an `except Exception` around that code does not swallow them. Returning one does the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel

from karman._internal.durations import Duration, to_milliseconds
from karman.errors import InvalidInput

T = TypeVar("T")

_MAX_SIGNAL_NAME = 128


@dataclass(frozen=True, slots=True, init=False)
class Next(Generic[T]):
    """Outputs, and which one of the next nodes (or targets of a loop) follows; return it from `execute`.

    Attributes:
        identifier: of the node instance that follows; the others are not run for these outputs.
        outputs: one output, a list of them (a fanout), or None.
    """

    identifier: str
    outputs: T | Sequence[T] | None

    # A list is told from one output by overloads: in a union, type checkers cannot tell which of the two T stands for.
    @overload
    def __init__(self, identifier: str, outputs: Sequence[T]) -> None: ...
    @overload
    def __init__(self, identifier: str, outputs: T | None = None) -> None: ...

    def __init__(self, identifier: str, outputs: T | Sequence[T] | None = None) -> None:
        object.__setattr__(self, "identifier", identifier)
        object.__setattr__(self, "outputs", outputs)


class Signal(BaseException):
    """The base of what a node ends with instead of outputs."""


class Prune(Signal):
    """Ends the branch. The state is PRUNED, which is no failure, and keeps `data`.

    Args:
        data: a mapping or a model with what is worth keeping, such as the reason.
    """

    def __init__(self, data: Mapping[str, Any] | BaseModel | None = None) -> None:
        super().__init__(data)
        self.data = {} if data is None else data


class RequeueAfter(Signal):
    """Runs the same state again after a delay; not counted as a failure, so not limited by the retry policy.

    Args:
        delay: a timedelta, or seconds; more than 0.

    Raises:
        InvalidInput: if the delay is not positive.
    """

    def __init__(self, delay: Duration) -> None:
        super().__init__(delay)
        self.delay_ms = to_milliseconds(delay, "The delay of RequeueAfter")


class WaitFor(Signal):
    """Makes the state wait, without compute, for a signal; then `execute` runs again with `ctx.resumed` set.

    Args:
        signal: the name it is sent under. A signal that was sent before is kept and resumes the state at once.
        timeout: how long at most, as a timedelta or seconds; then `ctx.resumed.timed_out` is true. None waits until the
            run's deadline.

    Raises:
        InvalidInput: if the name is empty or too long, or the timeout not positive.
    """

    def __init__(self, signal: str, timeout: Duration | None = None) -> None:
        super().__init__(signal, timeout)
        self.signal = signal_name(signal)
        self.timeout_ms = None if timeout is None else to_milliseconds(timeout, "The timeout of WaitFor")


class Cancelled(Signal):
    """The execution should stop: `ctx.checkpoint()` and `ctx.raise_if_cancelled()` raise it.

    The run was cancelled or its deadline passed, or this attempt is past its timeout. What the node would have returned
    counts no more, so let it pass; clean up in a `finally`.
    """


def signal_name(name: object) -> str:
    """The name, checked.

    Raises:
        InvalidInput: if it is empty or longer than 128 characters.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > _MAX_SIGNAL_NAME:
        raise InvalidInput(
            f"A signal's name is a text of 1 to {_MAX_SIGNAL_NAME} characters, but {name!r:.150} was given."
        )
    return name
