"""References to what a run will know: the outputs of nodes and the store, written as attributes and indexes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from karman._internal.suggestions import suggest
from karman.errors import InvalidGraph, UnknownReference
from karman_core.domain.definition import RESERVED_IDENTIFIER
from karman_core.domain.paths import Part, Path, spell
from karman_core.domain.placeholders import OutputReference, StoreReference
from karman_core.domain.schemas import Schema, field_schema, fields

_KEY = re.compile(r"[^\s.\[\]{}\"']+")
"""What a placeholder can spell."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What a reference points to.

    Attributes:
        owner: the graph in which it has a meaning, told apart by identity.
        identifier: of the node instance; `store` for the store.
        schema: of the outputs; `ANY` where it is not known.
        path: from the outputs, or from the store, on.
    """

    owner: object
    identifier: str
    schema: Schema
    path: Path = ()

    @property
    def spelled(self) -> str:
        """As in the text between the braces."""
        root = self.identifier if self.identifier == RESERVED_IDENTIFIER else f"{self.identifier}.outputs"
        return spell((root, *self.path))

    def at(self, part: Part) -> Target:
        """What is at a key or index of it.

        Raises:
            UnknownReference: if no output can have anything there.
        """
        path = (*self.path, part)
        if field_schema(self.schema, path) is None:
            raise UnknownReference(f"{self.spelled} has no {_wanted(part)}: {self._known(part)}")
        return Target(self.owner, self.identifier, self.schema, path)

    def placeholder(self) -> str:
        """The text that stands for the value in inputs."""
        match self.path:
            case ():
                raise InvalidGraph(
                    f"{self.spelled} is no value; name a part of it, such as `{self.spelled}.{self._example()}`."
                )
            case (str(key), *rest) if self.identifier == RESERVED_IDENTIFIER:
                return str(StoreReference(key, tuple(rest)))
            case _:
                return str(OutputReference(self.identifier, self.path))

    def _known(self, part: Part) -> str:
        inside = field_schema(self.schema, self.path)
        names = fields(inside).schemas if inside is not None else ()
        return suggest(str(part), names, "fields") if names or not self.path else "its type has no such part."

    def _example(self) -> str:
        return next(iter(fields(self.schema).schemas), "field")


class Reference:
    """A value that a run will know: `node.outputs.field`, `graph.store.key`, and what is inside of them.

    Attributes and indexes lead inside: `a.outputs.items[0].name`, or `a.outputs["class"]` for a name that Python cannot
    write. A name that the outputs do not have fails at once. Use it as an input, inside lists and dicts of inputs, or
    in an f-string.
    """

    __slots__ = ("__target__",)
    __target__: Target

    def __init__(self, target: Target) -> None:
        self.__target__ = target

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("__") and name.endswith(
            "__"
        ):  # asked for by copy, pickle and others, never a field
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, part: str | int) -> Reference:
        return Reference(self.__target__.at(_checked(part)))

    def __str__(self) -> str:
        return self.__target__.placeholder()

    def __format__(self, spec: str) -> str:
        if spec:
            raise InvalidGraph(f"{self!r} has no value yet, so it cannot be formatted with '{spec}'.")
        return str(self)

    def __repr__(self) -> str:
        return f"<reference to {self.__target__.spelled}>"

    def __bool__(self) -> NoReturn:
        raise InvalidGraph(f"{self!r} has no value while the graph is built; decide in a node, with `Next`.")

    def __iter__(self) -> NoReturn:
        raise InvalidGraph(
            f"{self!r} has no value while the graph is built; fan out in a node, with a list of outputs."
        )


def _checked(part: object) -> Part:
    if isinstance(part, int) and not isinstance(part, bool) and part >= 0:
        return part
    if isinstance(part, str) and _KEY.fullmatch(part):
        return part
    raise InvalidGraph(
        f"{part!r} cannot be part of a reference; give an index from 0, or a name without white space, "
        "dots, brackets and quotes."
    )


def _wanted(part: Part) -> str:
    return f"item [{part}]" if isinstance(part, int) else f"'{part}'"
