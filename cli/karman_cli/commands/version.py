"""`karman version`."""

from __future__ import annotations

from karman_cli import options


def version(*, as_json: options.Json = False) -> None:
    """Print the version of Karman, Python and the platform."""
    import platform
    from importlib.metadata import version as version_of

    from karman_cli.output import print_document, print_text

    found = {
        "karman": version_of("karman"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    if as_json:
        print_document(found)
    else:
        print_text(f"karman {found['karman']} (Python {found['python']}, {found['platform']})")
