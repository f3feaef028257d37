"""A class that cannot be a node says so where it is defined."""

import types
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from karman import InvalidNode, Node, node
from karman._internal.declaration import Manner
from karman._internal.node import declaration_of


class Text(BaseModel):
    text: str


def define(body: dict[str, Any] | None = None, **options: Any) -> type[Node]:
    async def execute(self: Node) -> None: ...

    namespace = {"execute": execute, **(body or {})}
    return types.new_class("Broken", (Node,), options, lambda attributes: attributes.update(namespace))


def test_a_node_needs_no_models() -> None:
    class Plain(Node):
        async def execute(self) -> None: ...

    declaration = declaration_of(Plain)

    assert declaration.name == "Plain"
    assert declaration.timeout_seconds is None
    assert declaration.secret_names == ()
    assert declaration.inputs_schema["type"] == "object"


def test_options_are_given_with_the_class() -> None:
    class Named(Node, name="text.Named-1", timeout=timedelta(minutes=2), non_retryable=ValueError):
        async def execute(self) -> None: ...

    declaration = declaration_of(Named)

    assert declaration.name == "text.Named-1"
    assert declaration.timeout_seconds == 120
    assert declaration.non_retryable == (ValueError,)


def test_options_are_not_inherited() -> None:
    class Base(Node, name="Base", timeout=5):
        async def execute(self) -> None: ...

    class Derived(Base):
        pass

    assert declaration_of(Derived).name == "Derived"
    assert declaration_of(Derived).timeout_seconds is None


def test_models_and_execute_are_inherited() -> None:
    class Base(Node):
        Inputs = Text

        def execute(self) -> None: ...

    class Derived(Base):
        Outputs = Text

    declaration = declaration_of(Derived)

    assert declaration.inputs is Text
    assert declaration.outputs is Text
    assert declaration.manner is Manner.THREAD


def test_an_abstract_base_needs_no_execute() -> None:
    class Base(Node, abstract=True):
        Inputs = Text

    class Concrete(Base):
        async def execute(self) -> None: ...

    assert declaration_of(Concrete).inputs is Text
    with pytest.raises(InvalidNode, match="abstract node"):
        declaration_of(Base)


def test_how_it_runs_follows_from_execute() -> None:
    class Coroutine(Node):
        async def execute(self) -> None: ...

    class Generator(Node):
        async def execute(self) -> Any:
            yield self.Outputs()

    class Thread(Node):
        def execute(self) -> None: ...

    manners = [declaration_of(each).manner for each in (Coroutine, Generator, Thread)]

    assert manners == [Manner.COROUTINE, Manner.ASYNC_ITERATOR, Manner.THREAD]


def test_execute_is_missing() -> None:
    with pytest.raises(InvalidNode, match=r"has no execute; write `async def execute\(self\) -> Outputs`"):

        class Broken(Node):
            pass


@pytest.mark.parametrize("model", ["Inputs", "Outputs", "Secrets"])
@pytest.mark.parametrize("value", [str, None, {"text": "str"}, Text(text="an instance")])
def test_a_model_is_no_model(model: str, value: object) -> None:
    with pytest.raises(
        InvalidNode, match=rf"Broken.{model} is no pydantic model; write `class {model}\(BaseModel\)"
    ):
        define(body={model: value})


@pytest.mark.parametrize("name", ["", "two words", "1st", "x" * 129, 7])
def test_a_name_that_cannot_be_one(name: Any) -> None:
    with pytest.raises(InvalidNode, match="cannot be the name of node"):
        define(name=name)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "60", True, timedelta(0)])
def test_a_timeout_that_is_none(timeout: Any) -> None:
    with pytest.raises(InvalidNode, match=r"The timeout of node .*Broken is"):
        define(timeout=timeout)


@pytest.mark.parametrize("option", [{"name": "other"}, {"timeout": 60}, {"timeout": timedelta(seconds=1)}])
def test_an_option_in_the_body(option: dict[str, Any]) -> None:
    with pytest.raises(InvalidNode, match=r"is set in the class body; .* `class Broken\(Node, "):
        define(body=option)


def test_an_attribute_that_only_looks_like_an_option() -> None:
    assert define(body={"name": property(lambda self: "x")})


def test_an_unknown_option() -> None:
    with pytest.raises(InvalidNode, match="has the options retries; a node takes name, timeout"):
        define(retries=3)


@pytest.mark.parametrize("classes", [[3], ["ValueError"], [int]])
def test_non_retryable_takes_exceptions(classes: Any) -> None:
    with pytest.raises(InvalidNode, match=r"non_retryable of node .* takes exception classes"):
        define(non_retryable=classes)


def test_init_with_arguments() -> None:
    def init(self: Node, client: object, retries: int = 3) -> None: ...

    with pytest.raises(InvalidNode, match=r"__init__ asks for client, but a node is made without arguments"):
        define(body={"__init__": init})


@pytest.mark.parametrize("execute", [staticmethod(lambda: None), classmethod(lambda cls: None), 3])
def test_execute_is_no_method(execute: object) -> None:
    with pytest.raises(InvalidNode, match="execute must be a method"):
        define(body={"execute": execute})


@pytest.mark.parametrize("thing", [str, Text, "Plain", None])
def test_something_else_is_no_node(thing: object) -> None:
    with pytest.raises(InvalidNode, match=r"is no node; give a subclass of karman\.Node"):
        declaration_of(thing)


def test_inputs_exist_only_during_an_execution() -> None:
    @node
    def plain() -> None: ...

    with pytest.raises(Exception, match=r"only while it is executed; .* `karman.testing.execute`"):
        _ = plain.node().inputs


def test_it_is_a_type_error_too() -> None:
    with pytest.raises(TypeError):
        define(body={"Inputs": int})
