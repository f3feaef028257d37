"""How messages and events are cut into requests, and what becomes of entries that failed."""

from typing import Any

import pytest

from karman_core.backends.aws.events import MAX_EVENT_BYTES
from karman_core.backends.aws.events import _batches as event_batches
from karman_core.backends.aws.queue import _batches as message_batches
from karman_core.backends.aws.queue import _left, _without_stale
from karman_core.domain.errors import BackendError, ItemTooLarge
from karman_core.ports.queue import MAX_MESSAGE_BYTES, Outgoing

MIB = MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([], []),
        ([1] * 25, [10, 10, 5]),
        ([MIB], [1]),
        ([MIB, 1, 1, MIB], [1, 2, 1]),
        ([MIB // 2, MIB // 2, 1], [2, 1]),
        ([MIB // 4] * 9, [4, 4, 1]),
    ],
)
def test_messages_go_by_ten_and_by_the_mebibyte(sizes: list[int], batches: list[int]) -> None:
    messages = [Outgoing("x" * size) for size in sizes]

    assert [len(batch) for batch in message_batches(messages)] == batches
    assert [message for batch in message_batches(messages) for message in batch] == messages


def test_bytes_count_and_not_characters() -> None:
    with pytest.raises(ItemTooLarge):
        list(message_batches([Outgoing("ä" * (MIB // 2 + 1))]))


@pytest.mark.parametrize("message", [Outgoing(""), Outgoing("\x00"), Outgoing("\ufffe"), Outgoing("a", 901)])
def test_what_sqs_refuses_is_refused_before(message: Outgoing) -> None:
    with pytest.raises(ValueError, match=r".+"):
        list(message_batches([message]))


def entry(size: int) -> Any:
    return {"Source": "karman", "DetailType": "run.done", "Detail": "x" * (size - 14 - 6 - 8)}


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([100] * 11, [10, 1]),
        ([MAX_EVENT_BYTES], [1]),
        ([MAX_EVENT_BYTES // 2] * 3, [2, 1]),
        ([MAX_EVENT_BYTES - 99, 100], [1, 1]),
    ],
)
def test_events_go_by_ten_and_by_256_kibibytes(sizes: list[int], batches: list[int]) -> None:
    assert [len(batch) for batch in event_batches([entry(size) for size in sizes])] == batches


def test_an_event_that_is_too_large() -> None:
    with pytest.raises(ItemTooLarge):
        list(event_batches([entry(MAX_EVENT_BYTES + 1)]))


def failed(index: int, code: str, *, our_fault: bool = False) -> Any:
    return {"Id": str(index), "Code": code, "SenderFault": our_fault, "Message": "said"}


def test_entries_that_the_service_failed_are_left() -> None:
    assert _left("SendMessageBatch", ["a", "b", "c"], [failed(2, "InternalError"), failed(0, "Odd")]) == [
        "c",
        "a",
    ]


def test_entries_that_are_our_fault_are_an_error() -> None:
    with pytest.raises(BackendError, match="said"):
        _left("SendMessageBatch", ["a"], [failed(0, "InvalidMessageContents", our_fault=True)])


def test_stale_receipts_are_no_failures() -> None:
    others, stale = _without_stale(
        ["a", "b", "c"],
        [
            failed(0, "ReceiptHandleIsInvalid", our_fault=True),
            failed(1, "InternalError"),
            failed(2, "InvalidParameterValue", our_fault=True),
        ],
    )

    assert [entry["Id"] for entry in others] == ["1"]
    assert stale == ["a", "c"]
