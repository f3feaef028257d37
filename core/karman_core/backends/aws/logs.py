"""Log lines as JSON, for CloudWatch: a constant message, and every field of `extra` by its own name."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

_TALKATIVE = ("boto3", "botocore", "s3transfer", "urllib3")


def log_as_json(level: str, service: str, *filters: logging.Filter) -> LambdaPowertoolsFormatter:
    """Have all loggers of this process write JSON lines, through the handlers that there are (Lambda has put one).

    Args:
        level: the lowest that is written, for example `info`.
        service: in every line: which part of Karman this is.
        filters: may add fields to each line.

    Returns:
        The formatter; keys that are appended to it stand in every line from then on.
    """
    from aws_lambda_powertools.logging.formatter import (  # noqa: PLC0415  after the process has begun
        LambdaPowertoolsFormatter,
    )

    formatter = LambdaPowertoolsFormatter(utc=True, use_rfc3339=True)
    formatter.append_keys(service=service)
    root = logging.getLogger()
    for handler in root.handlers or [_to_stdout(root)]:
        handler.setFormatter(formatter)
        for each in filters:
            handler.addFilter(each)
    root.setLevel(level.upper())
    silence()
    return formatter


def silence() -> None:
    """Keep boto3's loggers from saying what they send and get: values of secrets, credentials' tokens, signatures.

    They do so at the level `debug`, which is asked for to see Karman's own lines. A level that somebody gave to one of
    them by name is left as it is.
    """
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


def _to_stdout(root: logging.Logger) -> logging.Handler:
    handler = logging.StreamHandler(sys.stdout)
    root.addHandler(handler)
    return handler
