"""What a command says of errors that no part of Karman has explained."""

import errno
import os

import pytest

from karman_cli.exit_codes import ExitCode
from karman_cli.group import report


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_behind_the_output_is_no_fault_of_karmans(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    code = report(OSError(number, os.strerror(number)), ["runs"])

    assert code is ExitCode.INTERNAL
    assert capsys.readouterr().err == f"error: OSError: [Errno {number}] {os.strerror(number)}\n"


def test_what_is_not_expected_is_a_fault_of_karmans(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(OSError(errno.EIO, "broken"), ["runs"]) is ExitCode.INTERNAL
    assert "This is a fault of Karman's. Run it again with --traceback" in capsys.readouterr().err
