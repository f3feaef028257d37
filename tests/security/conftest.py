"""Commands run in an empty folder, without the environment's settings, as in tests/cli."""

# Fixtures that pytest finds by their names here.
from tests.api.conftest import api  # noqa: F401
from tests.cli.conftest import empty_folder  # noqa: F401
