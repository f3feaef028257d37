"""`Node`: the base of what a user writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel

from karman._internal.context import Context
from karman._internal.declaration import Declaration, Options, declare
from karman._internal.durations import Duration
from karman._internal.models import Empty
from karman.errors import InvalidNode, KarmanError

ModelT_co = TypeVar("ModelT_co", covariant=True)


class _HasInputs(Protocol[ModelT_co]):
    """A class with a model `Inputs`: how type checkers find the type of `self.inputs` in a subclass."""

    @property
    def Inputs(self) -> type[ModelT_co]: ...  # noqa: N802 - the name of the nested model


class _HasSecrets(Protocol[ModelT_co]):
    """A class with a model `Secrets`."""

    @property
    def Secrets(self) -> type[ModelT_co]: ...  # noqa: N802 - the name of the nested model


class Node:
    """A unit of work: subclass it, declare its models, write `execute`.

        class Summarize(Node, timeout=60):
            class Inputs(BaseModel):
                text: str

            class Outputs(BaseModel):
                summary: str

            class Secrets(BaseModel):
                api_key: str

            async def execute(self) -> Outputs:
                return self.Outputs(summary=await ask(self.secrets.api_key, self.inputs.text))

    Each model is optional. An instance is made for each execution, without arguments.

    Options of the class:
        name: as it is registered; by default the name of the class.
        timeout: of one attempt, as a timedelta or seconds; by default the runtime's.
        non_retryable: classes of errors after which no attempt is made, subclasses included.
        abstract: True for a base of other nodes, which needs no `execute`.

    Raises:
        InvalidNode: when a subclass is defined that cannot be a node.
    """

    Inputs: type[BaseModel] = Empty
    Outputs: type[BaseModel] = Empty
    Secrets: type[BaseModel] = Empty

    __declaration__: ClassVar[Declaration | None] = None
    __execution__: _Execution | None = None

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        timeout: Duration | None = None,
        non_retryable: type[BaseException] | Sequence[type[BaseException]] = (),
        abstract: bool = False,
        **options: Any,
    ) -> None:
        super().__init_subclass__()
        if options:
            known = "name, timeout, non_retryable and abstract"
            raise InvalidNode(
                f"{cls.__qualname__} has the options {', '.join(options)}; a node takes {known}."
            )
        if abstract:
            cls.__declaration__ = None
            return
        if cls.execute is Node.execute:
            raise InvalidNode(
                f"{cls.__qualname__} has no execute; write `async def execute(self) -> Outputs` (or `def`, which runs "
                f"in a thread), or `class {cls.__name__}(Node, abstract=True)` for a base of other nodes."
            )
        classes = (non_retryable,) if isinstance(non_retryable, type) else tuple(non_retryable)
        cls.__declaration__ = declare(cls, Options(name, timeout, classes))

    def execute(self) -> object:
        """Do the work. Write it as `async def`, or as `def`, which runs in a thread.

        Returns:
            `self.Outputs(...)`; a list of them, or an iterator or async iterator, which is collected: a fanout, each
            output runs what follows; None: no output, what follows runs once; `Next(identifier, outputs)` to choose
            what follows; or `Prune`, `RequeueAfter`, `WaitFor`, which may be raised as well.
        """
        raise NotImplementedError

    @property
    def inputs(self: _HasInputs[ModelT_co]) -> ModelT_co:
        """The inputs, validated."""
        return _execution_of(self).inputs  # type: ignore[no-any-return]

    @property
    def secrets(self: _HasSecrets[ModelT_co]) -> ModelT_co:
        """The secrets. They do not show in a repr, nor in the message and traceback of an error."""
        return _execution_of(self).secrets  # type: ignore[no-any-return]

    @property
    def ctx(self) -> Context:
        """What the node knows of its execution."""
        return _execution_of(self).context


class _Execution:
    """What an instance is given for its one execution."""

    __slots__ = ("context", "inputs", "secrets")

    def __init__(self, inputs: Any, secrets: Any, context: Context) -> None:  # noqa: ANN401 - the node's models
        self.inputs = inputs
        self.secrets = secrets
        self.context = context


def _execution_of(node: object) -> _Execution:
    execution: _Execution | None = getattr(node, "__execution__", None)
    if execution is None:
        raise KarmanError(
            f"{type(node).__name__} has inputs, secrets and ctx only while it is executed; to try a node by itself use "
            "`karman.testing.execute`."
        )
    return execution


def prepare(cls: type[Node], inputs: BaseModel, secrets: BaseModel, context: Context) -> Node:
    """An instance, ready to execute. Raises whatever the user's `__init__` does."""
    node = cls()
    node.__execution__ = _Execution(inputs, secrets, context)
    return node


def declaration_of(cls: object) -> Declaration:
    """What a node class declares.

    Raises:
        InvalidNode: if it is no node that can run.
    """
    if not (isinstance(cls, type) and issubclass(cls, Node)):
        raise InvalidNode(
            f"{cls!r:.150} is no node; give a subclass of karman.Node or a function made by @node."
        )
    if cls.__declaration__ is None:
        raise InvalidNode(f"{cls.__qualname__} is an abstract node; use a subclass of it that has `execute`.")
    return cls.__declaration__
