"""Names that lead elsewhere: no spelling of an identifier reaches an item, a file or a resource of another kind."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.backends.aws.blobs import S3Blobs
from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.names import escaped, parameter_path, queue_name, schedule_name, unescaped
from karman_core.backends.aws.settings import AwsSettings
from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import InvalidGraph, KarmanError
from karman_core.domain.parsing import parse_definition
from karman_core.engine import keys
from tests.api.client import DEFINITION, Api
from tests.api.routes import CALLS, Call, prepare
from tests.cli.command_line import karman
from tests.security.hostile import PATHS

NAMES = st.one_of(st.sampled_from(PATHS), st.text(alphabet="a./\\#%\0~-_é2f", min_size=1, max_size=12))


@pytest.mark.parametrize("call", [call for call in CALLS if "{" in call.path], ids=str)
async def test_no_id_in_a_path_reaches_another_kind_of_item(api: Api, call: Call) -> None:
    """Whatever follows a real id, in plain and percent-encoded: it is not there, and nothing changes."""
    world = await prepare(api)
    whole = world.path(call)
    ids = {world.run, world.failed, world.fan, world.state, world.key} & set(re.split("[/]|--0", whole))
    for thing in ids:
        for tail in ("#store", "#park", "#b#", "%23store", "%2fstates", "\0", "/../x", "\n", "--0#x", "~"):
            for text in (tail, quote(tail, safe="")):
                odd = whole.replace(thing, thing + text, 1)
                answer = await api.call(call.method, odd, world.body(call))
                assert answer.status in {404, 405}, (odd, answer.text)


@pytest.mark.parametrize("name", PATHS)
async def test_what_is_made_has_a_plain_name(api: Api, name: str) -> None:
    """Names of graphs, nodes, runtimes, identifiers, secrets, triggers, store keys: each refused, or kept as it is."""
    await api.graph()
    node = DEFINITION["nodes"][0]
    for answer in (
        await api.call("PUT", f"/graphs/{quote(name, safe='')}", {"definition": DEFINITION}),
        await api.call("PUT", "/graphs/x", {"definition": {**DEFINITION, "name": name}}),
        await api.call("PUT", "/nodes", {"runtime": name, "nodes": [{"name": "b"}]}),
        await api.call("PUT", "/nodes", {"runtime": "rt", "nodes": [{"name": name}]}),
        await api.call("PUT", "/graphs/x", {"definition": {"nodes": [{**node, "identifier": name}]}}),
        await api.call("PUT", "/graphs/x", {"definition": {"nodes": [{**node, "namespace": name}]}}),
        await api.call("PUT", "/graphs/x", {"definition": {**DEFINITION, "secrets": [name]}}),
        await api.call("POST", "/graphs/g/runs", {"store": {name: 1}}),
        await api.call("PUT", f"/v1/namespaces/{quote(name, safe='')}"),
    ):
        assert answer.status < 500, answer.text
    with api.backend.database.read() as connection:
        partitions = [row[0] for row in connection.execute("SELECT DISTINCT pk FROM items")]
    whole = re.compile(
        r"ns#(nodes|graphs|graph#(g|x)|namespace|days(#g)?|audit(#[0-9]+)?|run#[a-z0-9]+(#.*)?|cron#[gx])"
    )
    assert not [pk for pk in partitions if not whole.fullmatch(pk) and not pk.startswith(("#", "ns#quota"))]


@pytest.mark.parametrize("name", PATHS)
def test_a_definition_names_nothing_oddly(name: str) -> None:
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name)
    node = {"identifier": "a", "node_name": "a"}
    for data in (
        {"name": name, "nodes": [node]},
        {"name": "g", "nodes": [{**node, "identifier": name}]},
        {"name": "g", "nodes": [{**node, "namespace": name}]},
        {"name": "g", "nodes": [node], "secrets": [name]},
    ):
        try:
            made = parse_definition(data)
        except InvalidGraph:
            continue
        assert isinstance(made, GraphDefinition)
        assert plain or data.get("secrets") or "#" not in name, name


@given(NAMES, NAMES, NAMES, NAMES)
def test_names_on_aws_stay_apart(one: str, other: str, third: str, fourth: str) -> None:
    """Parameters, queues, schedules: within the deployment's prefix, and two things never share a name."""
    path = parameter_path("stage", f"{one.replace('/', '')}/{other.replace('/', '')}") + escaped(third)
    assert re.fullmatch(r"/stage/[A-Za-z0-9_.-]*/[A-Za-z0-9_.-]*/[A-Za-z0-9_.-]+", path)
    assert "/../" not in path
    assert "/./" not in path
    assert unescaped(escaped(third)) == third
    if one.replace("/", "") and other:
        queue = queue_name("stage", f"{one.replace('/', '')}/{other}")
        assert re.fullmatch(r"stage[-_][A-Za-z0-9_-]{1,80}", queue)
        assert len(queue) <= 80
    schedule = schedule_name(one, other, third, 0)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", schedule)
    if (one, other, third) != (fourth, other, third):
        assert schedule != schedule_name(fourth, other, third, 0)


@cache
def s3() -> S3Blobs:
    settings = AwsSettings(table_name="t", prefix="p", region="us-east-1", bucket="b")
    return S3Blobs(AwsClients(settings), settings)


def tops_of_files(folder: Path) -> set[tuple[str, ...]]:
    return {path.relative_to(folder).parts[:2] for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", [*PATHS, "runs/../../x", "runs//x", "runs/./x", "/runs/x", "runs/x/"])
async def test_no_blob_lies_outside_of_its_place(name: str, tmp_path: Path) -> None:
    place = tmp_path / "deep" / "down"
    place.mkdir(parents=True)
    backend = EmbeddedBackend.open(place / "runs.db", clock=SystemClock(), entropy=SystemEntropy())
    try:
        try:
            await backend.blobs.put(name, b"x")
        except (ValueError, KarmanError):
            pass
        else:
            assert await backend.blobs.get(name) == b"x"
        if name != "a/b":
            with pytest.raises(ValueError, match="blob"):
                await s3().put(name, b"x")
        assert tops_of_files(tmp_path) == {("deep", "down")}
    finally:
        backend.close()


@given(NAMES, st.text(alphabet="rab#-", min_size=1, max_size=8))
def test_partitions_of_checked_names_do_not_meet(hostile: str, run_id: str) -> None:
    """The separator of keys is in no name: so what is after it is Karman's own."""
    for made in (keys.run("ns", run_id), keys.graph_version("ns", "g", 1), keys.node("ns", hostile)):
        assert made.pk.split("#")[0] == "ns"
    assert keys.node("ns", hostile).pk == "ns#nodes"
    assert keys.tagged("ns", hostile, hostile).count("#") == 2
    assert keys.signals("ns", "r", hostile).count("#") == 4


@pytest.mark.parametrize("name", ["..", "../../etc/passwd", "/etc/passwd", "x#store", "a\nb", "$(id)"])
def test_commands_take_files_and_write_where_they_are_told(name: str, empty_folder: Path) -> None:
    before = {path for path in empty_folder.parent.iterdir() if path != empty_folder}
    for words in (
        ("run", name),
        ("graph", "validate", name),
        ("show", name, "--db", "none.db"),
        ("apply", name),
    ):
        output = karman(*words, "--json")
        assert output.code in {1, 2}, (words, output)
    for words in (("export", name, "--out", "x"), ("show", name), ("purge", name, "--yes"), ("logs", name)):
        assert karman(*words, "--db", "none.db").code == 2, words
    assert {path for path in empty_folder.parent.iterdir() if path != empty_folder} == before
    assert not Path("x").exists()
