"""Typed functions as nodes."""

import collections.abc
import dataclasses
import datetime as dt
import enum
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Annotated, Any, Literal, NoReturn, Required

import pytest
from pydantic import BaseModel, Field, SecretStr
from typing_extensions import TypedDict

from karman import Context, InvalidNode, Next, Prune, RequeueAfter, WaitFor, node
from karman._internal.node import declaration_of
from karman.testing import Errored, Pruned, Succeeded, aexecute


class Summary(BaseModel):
    text: str


class Score(BaseModel):
    value: float


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict, total=False):
    name: Required[str]
    size: int


class Color(enum.Enum):
    RED = "red"


class Keys(BaseModel):
    api_key: SecretStr
    optional: str = "none"


def outputs(function: Any) -> dict[str, Any]:
    return declaration_of(node(function).node).outputs_schema


def inputs(function: Any) -> dict[str, Any]:
    return declaration_of(node(function).node).inputs_schema


async def test_parameters_become_inputs() -> None:
    def shorten(text: str, words: int = 100, *, tags: list[str] | None = None) -> str: ...  # type: ignore[empty-body]

    schema = inputs(shorten)

    assert list(schema["properties"]) == ["text", "words", "tags"]
    assert schema["properties"]["text"]["type"] == "string"
    assert schema["properties"]["words"]["default"] == 100
    assert schema["required"] == ["text"]


async def test_parameters_may_have_constraints_and_rich_types() -> None:
    @node
    async def when(
        at: dt.datetime,
        name: Annotated[str, Field(min_length=2)],
        color: Color,
        size: int = Field(default=1, gt=0),
    ) -> str:
        return f"{at.year} {name} {color.name} {size}"

    good = await aexecute(when, at="2026-05-01T00:00:00Z", name="Ada", color="red")
    bad = await aexecute(when, at="yesterday", name="A", color="blue", size=0)

    assert good == Succeeded(({"result": "2026 Ada RED 1"},))
    assert isinstance(bad, Errored)
    assert all(field in bad.message for field in ("at:", "name:", "color:", "size:"))


async def test_parameters_may_be_called_as_methods_of_models() -> None:
    @node
    async def odd(schema: str, json: int, model_name: str, *, copy: bool = True) -> str:
        return f"{schema} {json} {model_name} {copy}"

    assert await aexecute(odd, schema="s", json=1, model_name="gpt") == Succeeded(
        ({"result": "s 1 gpt True"},)
    )


async def test_context_and_secrets_are_injected() -> None:
    @node
    async def ask(question: str, secrets: Keys, context: Context) -> str:
        return f"{question} {secrets.api_key.get_secret_value()} {secrets.optional} {context.attempt}"

    outcome = await aexecute(ask, question="why", secrets={"api_key": "k"}, attempt=2)

    assert outcome == Succeeded(({"result": "why k none 2"},))
    assert declaration_of(ask.node).secret_names == ("api_key", "optional")
    assert list(declaration_of(ask.node).inputs_schema["properties"]) == ["question"]


async def test_a_function_node_is_still_the_function() -> None:
    @node(name="Doubled", timeout=5, non_retryable=ValueError)
    def double(n: int) -> int:
        """Twice as much."""
        return 2 * n

    assert double(4) == 8
    assert double.__doc__ == "Twice as much."
    assert declaration_of(double.node).name == "Doubled"
    assert declaration_of(double.node).timeout_seconds == 5
    assert declaration_of(double.node).non_retryable == (ValueError,)
    assert repr(double) == "<node double>"


@pytest.mark.parametrize(
    ("annotation", "value", "output"),
    [
        (int, 3, {"result": 3}),
        (str | None, "a", {"result": "a"}),
        (str | int, 7, {"result": 7}),
        (dt.date, dt.date(2026, 1, 2), {"result": "2026-01-02"}),
        (tuple[int, str], (1, "a"), {"result": [1, "a"]}),
        (set[int], {1}, {"result": [1]}),
        (Literal["a", "b"], "a", {"result": "a"}),
        (Any, {"a": 1}, {"result": {"a": 1}}),
        (Annotated[int, Field(gt=0)], 3, {"result": 3}),
        (Summary, Summary(text="a"), {"text": "a"}),
        (Summary | None, Summary(text="a"), {"text": "a"}),
        (Summary | Prune, Summary(text="a"), {"text": "a"}),
        (Summary | Score, Score(value=1.5), {"value": 1.5}),
        (Point, Point(1), {"x": 1, "y": 0}),
        (Options, {"name": "n"}, {"name": "n"}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Mapping[str, Any], {"a": [1]}, {"a": [1]}),
        (dict, {"a": 1}, {"a": 1}),
    ],
)
async def test_what_is_returned_becomes_outputs(
    annotation: Any, value: object, output: dict[str, Any]
) -> None:
    async def give() -> Any:
        return value

    give.__annotations__["return"] = annotation

    assert await aexecute(node(give)) == Succeeded((output,))


@pytest.mark.parametrize(
    "annotation",
    [list[int], Iterator[int], list[int] | Prune, list[int] | None, AsyncIterator[int], Next[list[int]]],
)
async def test_a_list_or_iterator_is_a_fanout(annotation: Any) -> None:
    async def give() -> Any:
        return [1, 2]

    give.__annotations__["return"] = annotation

    assert await aexecute(node(give)) == Succeeded(({"result": 1}, {"result": 2}))
    assert outputs(give)["properties"]["result"]["type"] == "integer"


async def test_functions_may_yield() -> None:
    @node
    async def pages(count: int) -> AsyncIterator[Summary]:
        for number in range(count):
            yield Summary(text=str(number))

    @node
    def numbers(count: int) -> Iterator[int]:
        yield from range(count)

    assert await aexecute(pages, count=2) == Succeeded(({"text": "0"}, {"text": "1"}))
    assert await aexecute(numbers, count=2) == Succeeded(({"result": 0}, {"result": 1}))


@pytest.mark.parametrize("annotation", [None, NoReturn, Prune, RequeueAfter | WaitFor, Next, Prune | None])
def test_no_outputs(annotation: Any) -> None:
    def give() -> Any: ...

    give.__annotations__["return"] = annotation

    assert outputs(give).get("properties", {}) == {}


async def test_signals_and_choices() -> None:
    @node
    async def choose(*, left: bool) -> Next[Summary] | Prune:
        return Next("left", Summary(text="a")) if left else Prune({"why": "right"})

    assert outputs(choose.__wrapped__)["properties"]["text"]["type"] == "string"  # type: ignore[attr-defined]
    assert await aexecute(choose, left=True) == Succeeded(({"text": "a"},), chosen="left")
    assert await aexecute(choose, left=False) == Pruned({"why": "right"})


async def test_a_wrong_result_names_the_field() -> None:
    @node
    async def count() -> int:
        return "many"  # type: ignore[return-value]

    @node
    async def point() -> Point:
        return {"x": "one"}  # type: ignore[return-value]

    for each, message in (
        (count, "result: Input should be a valid integer"),
        (point, "x: Input should be a valid"),
    ):
        outcome = await aexecute(each)
        assert isinstance(outcome, Errored)
        assert (outcome.kind, outcome.retry) == ("invalid_output", False)
        assert message in outcome.message


def test_schemas_of_objects_list_their_fields() -> None:
    def point() -> Point: ...  # type: ignore[empty-body]

    def options() -> Options: ...  # type: ignore[empty-body]

    assert list(outputs(point)["properties"]) == ["x", "y"]
    assert outputs(options)["required"] == ["name"]


def test_models_defined_inside_a_function_are_found() -> None:
    class Local(BaseModel):
        value: int

    @node
    def give(item: "Local") -> "Local":
        return item

    @node()
    def give_again(item: "Local") -> "Local":
        return item

    for each in (give, give_again):
        assert list(declaration_of(each.node).outputs_schema["properties"]) == ["value"]


def bad_variadic(*args: int) -> None: ...
def bad_keywords(**options: int) -> None: ...
def bad_positional(x: int, /) -> None: ...
def bad_untyped(x) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def bad_no_return(x: int): ...  # type: ignore[no-untyped-def]  # noqa: ANN201
def bad_underscore(_x: int) -> None: ...
def bad_method_name(model_dump: int) -> None: ...
def bad_two_contexts(a: Context, b: Context) -> None: ...
def bad_secrets(secrets: str) -> None: ...
def bad_name(x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def bad_type(x: collections.abc.Callable[[], int].__origin__) -> None: ...  # type: ignore[valid-type]
def bad_mixture() -> Summary | int: ...  # type: ignore[empty-body]
def bad_class(x: pytest.MonkeyPatch) -> None: ...
def bad_output() -> pytest.MonkeyPatch: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (bad_variadic, "has no name that an input could have"),
        (bad_keywords, "has no name that an input could have"),
        (bad_positional, "has no name that an input could have"),
        (bad_untyped, "The parameter x of bad_untyped has no type; write `x: str`"),
        (bad_no_return, "does not say what it returns"),
        (bad_underscore, "The parameter _x of bad_underscore cannot be an input: rename it"),
        (bad_method_name, "The parameter model_dump of bad_method_name cannot be an input: rename it"),
        (bad_two_contexts, "asks for the context twice"),
        (bad_secrets, "its type is a pydantic model"),
        (bad_name, "names Nowhere, which is not defined where the function is"),
        (bad_mixture, "Return one model with optional fields"),
        (bad_class, "takes what pydantic cannot validate"),
        (bad_output, "returns what pydantic cannot validate"),
        (Summary, "@node makes nodes of functions"),
        (len, "@node makes nodes of functions"),
    ],
)
def test_a_function_that_cannot_be_a_node(function: Any, message: str) -> None:
    with pytest.raises(InvalidNode) as raised:
        node(function)

    assert message in str(raised.value)
