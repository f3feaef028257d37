"""Secrets of a run: given, and never shown."""

from tests.cli.command_line import karman, write

SECRET = """
from pydantic import BaseModel
from karman import Graph, node

class Keys(BaseModel):
    api_key: str

@node
def ask(secrets: Keys) -> int:
    return len(secrets.api_key)

graph = Graph("secret")
graph.add(ask)
"""


def test_a_secret_is_given() -> None:
    write("secret.py", SECRET)

    assert karman("run", "secret.py", "--secret", "api_key=hush=hush", "-q").document == {"result": 9}


def test_a_secret_is_taken_from_the_environment() -> None:
    write("secret.py", SECRET)
    output = karman("run", "secret.py", "--secret-env", "api_key", "-q", env={"api_key": "hush"})

    assert output.document == {"result": 4}


def test_a_secret_without_a_value() -> None:
    write("secret.py", SECRET)
    output = karman("run", "secret.py")

    assert output.code == 2
    assert "reads secrets that have no value: api_key." in output.err
    assert "--secret api_key=VALUE" in output.err


def test_a_secret_that_the_database_has_need_not_be_given_again() -> None:
    write("secret.py", SECRET)
    karman("run", "secret.py", "--db", "runs.db", "--secret", "api_key=hush")

    assert karman("run", "secret.py", "--db", "runs.db", "-q").document == {"result": 4}


def test_a_secret_that_no_node_reads() -> None:
    write("secret.py", SECRET)
    output = karman("run", "secret.py", "--secret", "apikey=hush")

    assert output.code == 2
    assert "No node reads the secret apikey; declared are: api_key." in output.err
    assert "hush" not in output.err


def test_a_variable_that_does_not_exist() -> None:
    write("secret.py", SECRET)
    output = karman("run", "secret.py", "--secret-env", "NOT_SET_ANYWHERE")

    assert output.code == 2
    assert "there is no such variable in the environment" in output.err
