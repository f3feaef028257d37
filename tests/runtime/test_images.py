"""The image of a container worker: what it is built from is there, and the Dockerfile keeps to the rules."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from karman_core.domain.errors import InvalidRequest
from karman_runtime.container import grace_seconds
from karman_runtime.images import DOCKERFILE, PACKAGES, stage
from karman_runtime.settings import Settings
from tests.emulators import ROOT


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, each in one piece."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def of(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    app = tmp_path / "flows"
    (app / "package").mkdir(parents=True)
    (app / "digest.py").write_text("from karman import node\n\n\n@node\ndef a() -> int:\n    return 1\n")
    for secret in (".env", ".git", "package/__pycache__", "notes.txt"):
        (app / secret).mkdir() if "." not in secret[1:] else (app / secret).touch()
    return stage(app, ROOT / "requirements" / "bootstrap.txt", tmp_path / "context", exclude=["*.txt"])


def test_the_base_is_pinned_by_digest() -> None:
    (base,) = [rest.partition("=")[2] for rest in of("ARG") if rest.startswith("PYTHON_IMAGE")]
    assert re.fullmatch(r"docker\.io/library/python:3\.13-slim@sha256:[0-9a-f]{64}", base)
    assert [image.partition(" ")[0] for image in of("FROM")] == ["${PYTHON_IMAGE}"] * 2
    assert "imagetools inspect" in DOCKERFILE.read_text(encoding="utf-8")


def test_whatever_is_copied_is_in_the_context(context: Path) -> None:
    copied = [rest.split()[0] for rest in of("COPY") if not rest.startswith("--from=build")]
    assert copied == ["requirements.txt", "app/", "karman/"]
    assert all((context / place).exists() for place in copied)
    assert sorted(path.name for path in context.iterdir()) == [
        "Dockerfile",
        "app",
        "karman",
        "requirements.txt",
    ]


def test_it_holds_the_users_files_and_karmans_and_no_others(context: Path) -> None:
    assert sorted(path.name for path in (context / "app").rglob("*")) == ["digest.py", "package"]
    assert sorted(path.name for path in (context / "karman").iterdir()) == sorted(PACKAGES)
    assert not list(context.rglob("__pycache__"))


def test_nodes_can_write_to_tmp_where_the_root_is_read_only() -> None:
    """Fargate gives a volume that the image does not declare to root alone."""
    assert of("VOLUME") == ['["/tmp"]']
    names = [name for name, _ in instructions()]
    assert names.index("VOLUME") > max(at for at, name in enumerate(names) if name == "RUN")


def test_it_runs_as_nobody_and_is_asked_for_its_health() -> None:
    assert of("USER") == ["10001:10001"]
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(at for at, name in enumerate(names) if name == "RUN")
    assert of("STOPSIGNAL") == ["SIGTERM"]
    assert '"karman_runtime.health"' in of("HEALTHCHECK")[0]
    assert of("ENTRYPOINT") == ['["python", "-m", "karman_runtime.container"]']
    assert "org.opencontainers.image.version" in of("LABEL")[0]
    assert of("EXPOSE") == [str(Settings().health_port)]
    assert "--require-hashes" in " ".join(of("RUN"))


def test_its_packages_are_enough_for_its_programs(context: Path) -> None:
    """The entry and the health check, with nothing of Karman on the path but what the image has."""
    program = (
        "import sys; sys.path = [p for p in sys.path if '/core' not in p and '/sdk' not in p]\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in type(f).__module__.lower()]\n"
        f"sys.path[:0] = [{str(context / 'app')!r}, {str(context / 'karman')!r}]\n"
        "import karman_core, karman, karman_runtime.health, karman_runtime.lambda_entry\n"
        "from karman_runtime.container import main\n"
        f"assert karman_core.__file__.startswith({str(context)!r}), karman_core.__file__\n"
        "sys.exit(main(['digest']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"KARMAN_BACKEND": "aws", "KARMAN_RUNTIME": "rt"},
        cwd=context,
    )
    assert done.returncode == 2, done.stderr
    assert "KARMAN_TABLE is not set" in done.stderr


def test_what_cannot_be_staged_is_refused(tmp_path: Path) -> None:
    lock = ROOT / "requirements" / "bootstrap.txt"
    with pytest.raises(InvalidRequest, match="no folder"):
        stage(tmp_path / "none", lock, tmp_path / "to")
    with pytest.raises(InvalidRequest, match="no file"):
        stage(tmp_path, tmp_path / "none", tmp_path / "to")
    with pytest.raises(InvalidRequest, match="would contain itself"):
        stage(tmp_path, lock, tmp_path / "to")
    with pytest.raises(InvalidRequest, match="exists"):
        stage(tmp_path, lock, tmp_path)


def test_the_grace_ends_before_the_platform_kills() -> None:
    assert grace_seconds(30) == 23
    assert grace_seconds(120) == 113
    assert grace_seconds(3) == 0
