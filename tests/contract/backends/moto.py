"""Every port of the AWS backend on moto, in this process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from moto import mock_aws
from moto.core.models import botocore_stubber
from moto.sqs.models import SQSBackend

from tests.contract.backends import PORT_NAMES, BackendPorts
from tests.contract.backends.aws_faults import ANSWERED
from tests.contract.backends.aws_ports import open_aws

PORTS = frozenset(PORT_NAMES)
_LOOK_SECONDS = 0.02

_RECEIPTS = "every receipt that a message ever had stays good"
_FIRING = "schedules never fire"
_TYPES = (
    "compares without regard to types: nothing equals null, true equals 1, a text below a number is an error"
)
_UNCHECKED = "writes what DynamoDB would refuse"
_SIZES = "counts the size of an item by its JSON"

GAPS: Mapping[str, str] = {
    "test_an_action_on_another_type_is_refused": f"{_UNCHECKED}: the other actions of a refused update",
    "test_malformed_updates_are_refused[index_key_empty]": f"{_UNCHECKED}: an empty key of an index",
    "test_malformed_updates_are_refused[index_key_of_wrong_type]": f"{_UNCHECKED}: a number as key of an index",
    "test_a_sum_over_38_digits_is_refused": f"{_UNCHECKED}: a number of 39 digits",
    "test_conditions_that_fail[equals]": _TYPES,
    "test_conditions_that_fail[one_of]": _TYPES,
    "test_conditions_that_fail[less_than]": _TYPES,
    "test_conditions_on_an_item_that_does_not_exist": _TYPES,
    "test_checks_of_a_transaction": _TYPES,
    "test_a_transaction_over_four_megabytes_is_refused": f"{_UNCHECKED}: transactions of any size",
    "test_an_item_may_have_400_kb_and_no_byte_more": _SIZES,
    "test_no_write_makes_an_item_too_large": _SIZES,
    "test_a_stale_receipt_changes_nothing": _RECEIPTS,
    "test_a_lease_that_ended_cannot_be_extended": _RECEIPTS,
    "test_a_timer_sends_its_message_when_its_time_has_come": _FIRING,
    "test_setting_a_timer_again_replaces_it": _FIRING,
    "test_a_timer_set_again_after_it_fired_fires_again": _FIRING,
    "test_a_cancelled_timer_does_not_fire": _FIRING,
    "test_waiting_for_a_message_ends_with_a_timer": _FIRING,
}


def unavailable() -> str | None:
    return None


@asynccontextmanager
async def open_ports(tmp_path: Path) -> AsyncIterator[BackendPorts]:
    with mock_aws():
        _one_at_a_time()
        async with open_aws("moto", None, PORTS) as opened:
            yield opened.ports


@cache
def _one_at_a_time() -> None:
    """Moto's services keep plain dictionaries: calls in several threads would lose each other's writes.

    And botocore asks all who could answer a request, so moto has to be told which ones have been answered.
    """
    lock = threading.RLock()
    stubber: Any = botocore_stubber
    carry_out = botocore_stubber.process_request

    def process_request(request: Any) -> Any:
        if ANSWERED in request.headers:
            return None
        if request.headers.get("X-Amz-Target") == b"AmazonSQS.ReceiveMessage" and may_wait(request):
            return carry_out(request)  # others send while this one waits; `receive` takes the lock
        with lock:
            return carry_out(request)

    def may_wait(request: Any) -> bool:
        return bool(json.loads(request.body).get("WaitTimeSeconds"))

    queues: Any = SQSBackend
    look = queues.receive_message

    def receive(self: Any, queue: str, count: int, seconds: int, *more: Any, **options: Any) -> Any:
        end = time.monotonic() + seconds
        while True:
            with lock:
                # Else two who look at the same time would both get a message.
                found = look(self, queue, count, 0, *more, **options)
            if found or time.monotonic() >= end:
                return found
            time.sleep(_LOOK_SECONDS)

    stubber.process_request = process_request
    queues.receive_message = receive
