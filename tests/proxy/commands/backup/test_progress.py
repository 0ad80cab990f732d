"""Progress is for terminals: a file or a pipe gets none of it."""

import pytest

from proxy.commands.backup.progress import progress


def test_nothing_is_written_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", 100) as told:
        told(50)
        told(50)
    assert capsys.readouterr() == ("", "")
