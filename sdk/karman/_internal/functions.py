"""`@node`: typed functions as nodes."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, get_type_hints, overload

from pydantic import BaseModel

from karman._internal.annotations import inputs_model, outputs_model
from karman._internal.context import Context
from karman._internal.durations import Duration
from karman._internal.models import Empty
from karman._internal.node import Node
from karman.errors import InvalidNode

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

SECRETS = "secrets"


class FunctionNode(Generic[P, R_co]):
    """A function that is a node. Calling it calls the function.

    Attributes:
        node: the node class made from it.
    """

    def __init__(self, function: Callable[P, R_co], node: type[Node]) -> None:
        self.node = node
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<node {self.node.__name__}>"


NodeLike: TypeAlias = type[Node] | FunctionNode[..., Any]
"""A node class, or a function made a node by `@node`."""


@overload
def node(function: Callable[P, R], /) -> FunctionNode[P, R]: ...


@overload
def node(
    *,
    name: str | None = None,
    timeout: Duration | None = None,
    non_retryable: type[BaseException] | Sequence[type[BaseException]] = (),
) -> Callable[[Callable[P, R]], FunctionNode[P, R]]: ...


def node(function: Callable[P, R] | None = None, /, **options: Any) -> Any:
    """Make a node of a typed function, `def` (runs in a thread) or `async def`.

        @node
        async def summarize(text: str, words: int = 100, *, ctx: Context) -> Summary: ...

    Parameters become Inputs with their types and defaults. A parameter of type `Context` is given the context, one
    called `secrets`, whose type is a pydantic model, the secrets.

    What is returned becomes Outputs. A model, dataclass, TypedDict or dict is one output with its fields; any other
    value is one output with the field `result`. A list, an iterator or an async iterator of these is a fanout: to
    return a list as one value, make it a field. None is no output. Signals and `Next[...]` may be part of a union.

    Args:
        function: when used without options.
        name: as it is registered; by default the name of the function.
        timeout: of one attempt, as a timedelta or seconds; by default the runtime's.
        non_retryable: classes of errors after which no attempt is made, subclasses included.
        options: these three, as keywords.

    Raises:
        InvalidNode: if the function cannot be a node, with what is wrong and what to do.
    """
    frame = inspect.currentframe()
    caller = frame.f_back if frame else None
    # Models that are defined inside a function are found only in its locals.
    names: Mapping[str, Any] = dict(caller.f_locals) if caller else {}

    def decorate(function: Callable[P, R]) -> FunctionNode[P, R]:
        return FunctionNode(function, _node_class(function, options, names))

    return decorate if function is None else decorate(function)


def node_class(node: NodeLike) -> type[Node]:
    """The class of a node in either form."""
    return node.node if isinstance(node, FunctionNode) else node


@dataclass(frozen=True, slots=True)
class _Signature:
    """A function's parameters, sorted by what they are given."""

    inputs: list[inspect.Parameter]
    hints: dict[str, Any]
    context: str | None
    secrets: type[BaseModel] | None

    def arguments(self, node: Node) -> dict[str, Any]:
        """What the function is called with."""
        arguments = {parameter.name: getattr(node.inputs, parameter.name) for parameter in self.inputs}
        if self.context is not None:
            arguments[self.context] = node.ctx
        if self.secrets is not None:
            arguments[SECRETS] = node.secrets
        return arguments


def _node_class(
    function: Callable[..., Any], options: Mapping[str, Any], names: Mapping[str, Any]
) -> type[Node]:
    if not inspect.isfunction(function):
        raise InvalidNode(f"@node makes nodes of functions, not of {function!r:.150}; subclass Node instead.")
    signature = _read_signature(function, names)
    owner = function.__name__
    body = {
        "Inputs": inputs_model(owner, signature.inputs, signature.hints),
        "Outputs": outputs_model(owner, signature.hints["return"]),
        "Secrets": signature.secrets or Empty,
        "execute": _execute(function, signature),
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__,
    }
    return types.new_class(owner, (Node,), dict(options), lambda namespace: namespace.update(body))


def _execute(function: Callable[..., Any], signature: _Signature) -> Callable[[Node], Any]:
    if inspect.isasyncgenfunction(function):

        async def iterate(self: Node) -> AsyncIterator[Any]:
            async for item in function(**signature.arguments(self)):
                yield item

        return iterate
    if inspect.iscoroutinefunction(function):

        async def run(self: Node) -> object:
            return await function(**signature.arguments(self))

        return run

    def call(self: Node) -> object:
        return function(**signature.arguments(self))

    return call


def _read_signature(function: Callable[..., Any], names: Mapping[str, Any]) -> _Signature:
    hints = _hints(function, names)
    parameters = inspect.signature(function).parameters
    _check_annotated(function, parameters, hints)
    contexts = [name for name in parameters if hints[name] is Context]
    if len(contexts) > 1:
        raise InvalidNode(
            f"{function.__name__} asks for the context twice ({', '.join(contexts)}); once is enough."
        )
    injected = {*contexts, SECRETS}
    return _Signature(
        inputs=[parameter for name, parameter in parameters.items() if name not in injected],
        hints=hints,
        context=contexts[0] if contexts else None,
        secrets=_secrets(function, hints[SECRETS]) if SECRETS in parameters else None,
    )


def _hints(function: Callable[..., Any], names: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, localns=dict(names), include_extras=True)
    except NameError as error:
        raise InvalidNode(
            f"An annotation of {function.__name__} names {error.name}, which is not defined where the function is: "
            "import it outside of `if TYPE_CHECKING`, or define it before the function."
        ) from error


def _check_annotated(
    function: Callable[..., Any], parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any]
) -> None:
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for name, parameter in parameters.items():
        if parameter.kind not in by_name:
            raise InvalidNode(
                f"The parameter {parameter} of {function.__name__} has no name that an input could have; "
                "use plain parameters."
            )
        if name not in hints:
            raise InvalidNode(
                f"The parameter {name} of {function.__name__} has no type; write `{name}: str`."
            )
    if "return" not in hints:
        raise InvalidNode(
            f"{function.__name__} does not say what it returns; write `-> ...`, or `-> None` for no outputs."
        )


def _secrets(function: Callable[..., Any], annotation: object) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    raise InvalidNode(
        f"The parameter secrets of {function.__name__} is given the secrets, so its type is a pydantic model with a "
        "field for each."
    )
