"""What can be wrong with the code or the file that a user names.

InvalidRequest
└── LoadError          422  a module or a graph file cannot be used
    ├── UnknownFile         ... no such file or module
    ├── ImportFailed        ... importing the user's code raised
    ├── InvalidFile         ... a graph file that is no YAML or JSON
    ├── NoGraph             ... the module has none, or not that one
    └── SeveralGraphs       ... and the user did not say which
"""

from __future__ import annotations

from karman_core.domain.errors import InvalidRequest


class LoadError(InvalidRequest):
    """A module or a graph file cannot be used."""

    code = "load_error"


class UnknownFile(LoadError):
    """No such file or module."""

    code = "unknown_file"


class ImportFailed(LoadError):
    """Importing the user's code raised."""

    code = "import_failed"


class InvalidFile(LoadError):
    """A graph file that is no YAML or JSON, or holds no object."""

    code = "invalid_file"


class NoGraph(LoadError):
    """The module has no graph, or none of that name."""

    code = "no_graph"


class SeveralGraphs(LoadError):
    """The module has several graphs, and the user did not say which."""

    code = "several_graphs"
