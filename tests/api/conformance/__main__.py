"""Requests made from the API's own description, and whether the answers are as it says (schemathesis).

    python -m tests.api.conformance --cases 40 --seed 1 --share 1/2 --only get_run

For each operation: cases that cover its description systematically, then drawn ones, half of which are wrong on
purpose. It is a process of its own because schemathesis changes parts of Hypothesis where it is imported, its printing
of failing examples among them. Prints JSON; the same seed gives the same requests.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import logging
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, CheckFunction, GenerationMode, Response
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure, FailureGroup

from karman_functions.api.openapi import document
from tests.api.conformance.wire import send
from tests.api.conformance.world import World, negated

# Those that look at the answer alone; not_a_server_error would send some requests again, over the network.
CHECKED = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
OF_MEANING = {
    "duplicate_name": "names in one list are told apart by the reader, not by a schema",
    "invalid_schema": "a JSON Schema in a field of its own",
    "not_published": "which events are published is configured",
}
"""Codes of problems that a request may have which is as the description says; every other one is to be described."""

LENIENT = {"put_graph": "a definition may be spelled as Exosphere does, with nulls for what is left out"}
"""Operations that take more than the description says."""

TOLD = 5
"""Failures of one operation that are printed in full."""


@dataclass(slots=True)
class Tally:
    """What came of the cases of one operation."""

    cases: int = 0
    positive: collections.Counter[int] = field(default_factory=collections.Counter)
    negative: collections.Counter[int] = field(default_factory=collections.Counter)
    failures: list[str] = field(default_factory=list)


class Prober:
    """Sends the cases of one operation after the other, each to a world that has what it may ask for."""

    def __init__(self, runner: asyncio.Runner, world: World, number: int) -> None:
        self._runner = runner
        self._world = world
        self._chance = random.Random(number)
        self._seed = number
        self._checks = _checks(CHECKED)

    def probe(self, operation: Any, cases: int) -> Tally:
        """Send up to so many cases that cover the description, and as many that are drawn."""
        self._runner.run(self._world.renew())
        tally = Tally()
        covering = list(_covering(operation))
        for case in self._chance.sample(covering, min(cases, len(covering))):
            self._try(case, tally)
        for mode in GenerationMode:
            self._draw(operation, mode, cases // 2, tally)
        return tally

    def _draw(self, operation: Any, mode: GenerationMode, cases: int, tally: Tally) -> None:
        @seed(self._seed)
        @settings(
            max_examples=max(1, cases),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(generation_mode=mode))
        def attempt(case: Case[Any]) -> None:
            self._try(case, tally)

        try:
            attempt()
        except Unsatisfiable:
            if mode.is_positive:
                raise  # a request without parameters and body cannot be wrong, but each can be right

    def _try(self, case: Case[Any], tally: Tally) -> None:
        self._world.bind(case, self._chance)
        response = self._runner.run(send(self._world.adapter, case, self._world.key))
        wrong = bool(negated(case)) or case.method.lower() != case.operation.method
        tally.cases += 1
        (tally.negative if wrong else tally.positive)[response.status_code] += 1
        for reason in self._complaints(case, response, wrong=wrong):
            tally.failures.append(
                f"{reason}\n{case.as_curl_command()}\n{response.status_code} {response.text[:600]}"
            )
        if response.status_code < 300 and case.method != "GET":
            self._runner.run(self._world.renew())

    def _complaints(self, case: Case[Any], response: Response, *, wrong: bool) -> Iterator[str]:
        try:
            lenient = case.operation.definition.raw["operationId"] in LENIENT
            excluded = _checks(["negative_data_rejection"]) if lenient else []
            case.validate_response(response, checks=self._checks, excluded_checks=excluded)
        except (Failure, FailureGroup) as error:
            found = error.exceptions if isinstance(error, FailureGroup) else [error]
            yield from map(str, found)
        if response.status_code >= 500:
            yield "A server error"
        if response.status_code == 422 and not wrong:
            codes = {problem["code"] for problem in response.json()["problems"]}
            if undescribed := codes - OF_MEANING.keys():
                yield f"Refused although it is as described: {sorted(undescribed)}"


def operations() -> list[Any]:
    """Of the description that the routes give."""
    config = SchemathesisConfig()
    config.projects.default.generation.with_security_parameters = (
        False  # the key is the good one; see test_access
    )
    found = schemathesis.openapi.from_dict(document(), config=config).get_all_operations()
    return [cast("Any", each).ok() for each in found]


def main() -> int:
    """Probe the operations that were asked for, and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=40, help="of each kind, of each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", default="1/1", help="2/3 for the second third of the operations")
    parser.add_argument("--only", action="append", default=[], help="the operation's id")
    options = parser.parse_args()
    share, shares = map(int, options.share.split("/"))
    logging.getLogger("karman").setLevel(logging.CRITICAL)
    load_all_checks()
    report: dict[str, Any] = {}
    with asyncio.Runner() as runner:
        prober = Prober(runner, World(), options.seed)
        for operation in operations()[share - 1 :: shares]:
            name = operation.definition.raw["operationId"]
            if not options.only or name in options.only:
                tally = prober.probe(operation, options.cases)
                report[name] = {
                    "cases": tally.cases,
                    "positive": tally.positive,
                    "negative": tally.negative,
                    "failed": len(tally.failures),
                    "failures": tally.failures[:TOLD],
                }
    json.dump(report, sys.stdout, indent=1)
    return 1 if any(each["failed"] for each in report.values()) else 0


def _checks(names: Sequence[str]) -> list[CheckFunction]:
    return cast("list[CheckFunction]", CHECKS.get_by_names(names))


def _covering(operation: Any) -> Iterator[Case[Any]]:
    """Each constraint of the description met, met narrowly, and broken."""
    generation = operation.schema.config.generation_for(operation=operation, phase="coverage")
    modes = list(GenerationMode)
    yield from operation.schema.iter_coverage_cases(
        operation, generation_modes=modes, generation_config=generation
    )


if __name__ == "__main__":
    sys.exit(main())
