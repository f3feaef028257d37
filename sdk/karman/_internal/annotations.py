"""How the annotations of a function become the models of a node."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import types
import warnings
from typing import Annotated, Any, Never, NoReturn, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, PydanticUserError, create_model
from typing_extensions import is_typeddict

from karman._internal.models import Empty, Result, Rooted
from karman._internal.outcomes import Next, Signal
from karman.errors import InvalidNode

_ITERATED = (
    list,
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)
_NOTHING = (None, type(None), NoReturn, Never)


def outputs_model(owner: str, annotation: Any) -> type[BaseModel]:  # noqa: ANN401 - an annotation
    """The Outputs that a return annotation stands for.

    Signals and None in a union are left out; of a list or an iterator, the items count. Then a model is taken as it is;
    TypedDicts, dataclasses and dicts are objects of their fields; any other type becomes the field `result`.

    Raises:
        InvalidNode: if no output can be made of it.
    """
    members = list(dict.fromkeys(_members(annotation)))
    if not members:
        return Empty
    if len(members) == 1:
        return _model_of(owner, members[0])
    objects = [_is_object(member) for member in members]
    if all(objects):
        return _build(owner, members)
    if any(objects):
        raise InvalidNode(
            f"{owner} returns {_spell(annotation)}: objects and other values; what follows could not name its fields. "
            "Return one model with optional fields."
        )
    return _scalar(owner, Union[tuple(members)])  # noqa: UP007 - a list of types


def _members(annotation: Any) -> list[Any]:  # noqa: ANN401 - an annotation
    """The types of single outputs in an annotation."""
    plain = _plain(annotation)
    if plain in _NOTHING or (isinstance(plain, type) and issubclass(plain, Signal)):
        return []
    origin, arguments = get_origin(plain), get_args(plain)
    if origin in {Union, types.UnionType}:
        return [member for argument in arguments for member in _members(argument)]
    if origin is Next:
        return _members(arguments[0])
    if plain is Next:
        return []
    if origin in _ITERATED:
        return _members(arguments[0])
    return [Any] if plain in _ITERATED else [annotation]


def _plain(annotation: Any) -> Any:  # noqa: ANN401 - an annotation
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_object(annotation: Any) -> bool:  # noqa: ANN401 - an annotation
    plain = _plain(annotation)
    kind = get_origin(plain) or plain
    if is_typeddict(kind) or (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return True
    return isinstance(kind, type) and issubclass(kind, BaseModel | collections.abc.Mapping)


def _model_of(owner: str, annotation: Any) -> type[BaseModel]:  # noqa: ANN401 - an annotation
    plain = _plain(annotation)
    if isinstance(plain, type) and issubclass(plain, BaseModel) and plain is annotation:
        return plain
    return _build(owner, [annotation]) if _is_object(annotation) else _scalar(owner, annotation)


def _build(owner: str, members: list[Any]) -> type[BaseModel]:
    root: Any = members[0] if len(members) == 1 else Union[tuple(members)]  # noqa: UP007 - a list of types
    try:
        return types.new_class(f"{owner}Outputs", (Rooted[root],))
    except PydanticUserError as error:
        raise InvalidNode(f"{owner} returns what pydantic cannot validate: {error.message}") from error


def _scalar(owner: str, annotation: Any) -> type[BaseModel]:  # noqa: ANN401 - an annotation
    try:
        return create_model(f"{owner}Outputs", __base__=Result, result=(annotation, ...))
    except PydanticUserError as error:
        raise InvalidNode(f"{owner} returns what pydantic cannot validate: {error.message}") from error


def inputs_model(owner: str, parameters: list[inspect.Parameter], hints: dict[str, Any]) -> type[BaseModel]:
    """The Inputs that parameters stand for.

    Raises:
        InvalidNode: if a parameter cannot be an input.
    """
    fields: dict[str, Any] = {}
    for parameter in parameters:
        name = parameter.name
        if name.startswith("_") or (name.startswith("model_") and hasattr(BaseModel, name)):
            raise InvalidNode(f"The parameter {name} of {owner} cannot be an input: rename it.")
        fields[name] = (hints[name], ... if parameter.default is parameter.empty else parameter.default)
    # Parameters may be called `schema` or `model_name`: pydantic warns that its own methods are shadowed, which the
    # node never uses.
    config = ConfigDict(protected_namespaces=())
    try:
        return _create_quietly(f"{owner}Inputs", config, fields)
    except PydanticUserError as error:
        raise InvalidNode(f"{owner} takes what pydantic cannot validate: {error.message}") from error


def _create_quietly(name: str, config: ConfigDict, fields: dict[str, Any]) -> type[BaseModel]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        return create_model(name, __config__=config, **fields)


def _spell(annotation: Any) -> str:  # noqa: ANN401 - an annotation
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
