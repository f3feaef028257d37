"""What a node class declares, checked and collected when the class is defined."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from karman._internal.durations import Duration, to_seconds
from karman._internal.models import schema_of
from karman._internal.protection import protect
from karman.errors import InvalidInput, InvalidNode
from karman_core.domain.definition import JSON, RegisteredNode

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
MODELS = ("Inputs", "Outputs", "Secrets")
OPTIONS = ("name", "timeout")


class Manner(StrEnum):
    """How `execute` runs."""

    COROUTINE = "coroutine"
    ASYNC_ITERATOR = "async iterator"
    THREAD = "thread"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a node, as given with its class or its decorator."""

    name: str | None = None
    timeout: Duration | None = None
    non_retryable: tuple[type[BaseException], ...] = ()


@dataclass(frozen=True, slots=True)
class Declaration:
    """A node, as far as Karman is concerned.

    Attributes:
        name: as it is registered.
        inputs, outputs, secrets: its models; `secrets` is the protected one.
        timeout_seconds: of one attempt; None for the runtime's default.
        non_retryable: classes of errors after which no attempt is made.
        manner: how `execute` runs.
    """

    name: str
    inputs: type[BaseModel]
    outputs: type[BaseModel]
    secrets: type[BaseModel]
    timeout_seconds: float | None
    non_retryable: tuple[type[BaseException], ...]
    manner: Manner

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Names of the secrets that it reads: the fields' aliases where they have one."""
        fields = self.secrets.model_fields.items()
        aliases = ((name, field.validation_alias) for name, field in fields)
        return tuple(alias if isinstance(alias, str) else name for name, alias in aliases)

    @property
    def inputs_schema(self) -> dict[str, JSON]:
        """JSON Schema of what it takes."""
        return schema_of(self.inputs, "validation")

    @property
    def outputs_schema(self) -> dict[str, JSON]:
        """JSON Schema of one output."""
        return schema_of(self.outputs, "serialization")

    def registered(self, runtime: str) -> RegisteredNode:
        """As a runtime registers it."""
        return RegisteredNode(
            name=self.name,
            runtime=runtime,
            inputs_schema=self.inputs_schema,
            outputs_schema=self.outputs_schema,
            secrets=self.secret_names,
            timeout_seconds=self.timeout_seconds,
        )


def declare(cls: type, options: Options) -> Declaration:
    """The declaration of a class whose `execute` is its own or inherited.

    Raises:
        InvalidNode: with what is wrong and what to do.
    """
    _check_stray_options(cls)
    models = {name: _model(cls, name) for name in MODELS}
    _check_construction(cls)
    return Declaration(
        name=_name(cls, options.name),
        inputs=models["Inputs"],
        outputs=models["Outputs"],
        secrets=protect(models["Secrets"]),
        timeout_seconds=_timeout(cls, options.timeout),
        non_retryable=_error_classes(cls, options.non_retryable),
        manner=_manner(cls),
    )


def _name(cls: type, given: object) -> str:
    name = cls.__name__ if given is None else given
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidNode(
            f"{name!r:.150} cannot be the name of node {cls.__qualname__}: a name begins with a letter or '_' and goes "
            "on with at most 127 letters, digits, '_', '-' and '.'."
        )
    return name


def _timeout(cls: type, given: Duration | None) -> float | None:
    if given is None:
        return None
    try:
        return to_seconds(given, f"The timeout of node {cls.__qualname__}")
    except InvalidInput as error:
        raise InvalidNode(error.message) from error


def _error_classes(cls: type, given: object) -> tuple[type[BaseException], ...]:
    classes = given if isinstance(given, tuple | list) else (given,)
    for each in classes:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise InvalidNode(
                f"non_retryable of node {cls.__qualname__} takes exception classes, not {each!r}."
            )
    return tuple(classes)


def _model(cls: type, name: str) -> type[BaseModel]:
    model = getattr(cls, name, None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise InvalidNode(
            f"{cls.__qualname__}.{name} is no pydantic model; write `class {name}(BaseModel): ...` inside the node, or "
            f"leave {name} out if it has no fields."
        )
    return model


def _check_stray_options(cls: type) -> None:
    """Options in the class body would be silently ignored."""
    types: Mapping[str, type | tuple[type, ...]] = {"name": str, "timeout": (int, float, timedelta)}
    for option in OPTIONS:
        value = cls.__dict__.get(option)
        if isinstance(value, types[option]):
            raise InvalidNode(
                f"{cls.__qualname__}.{option} is set in the class body; options are given with the class: "
                f"`class {cls.__name__}(Node, {option}={value!r})`."
            )


def _check_construction(cls: type) -> None:
    """Karman makes an instance for each execution, without arguments."""
    empty, variadic = (
        inspect.Parameter.empty,
        (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD),
    )
    parameters = inspect.signature(cls).parameters.values()
    required = [p.name for p in parameters if p.default is empty and p.kind not in variadic]
    if required:
        raise InvalidNode(
            f"{cls.__qualname__}.__init__ asks for {', '.join(required)}, but a node is made without arguments "
            "for each execution: take them as Inputs or Secrets."
        )


def _manner(cls: type) -> Manner:
    execute: Any = inspect.getattr_static(cls, "execute")
    if isinstance(execute, staticmethod | classmethod) or not callable(execute):
        raise InvalidNode(
            f"{cls.__qualname__}.execute must be a method: `async def execute(self) -> Outputs`."
        )
    if inspect.isasyncgenfunction(execute):
        return Manner.ASYNC_ITERATOR
    if inspect.iscoroutinefunction(execute):
        return Manner.COROUTINE
    return Manner.THREAD
