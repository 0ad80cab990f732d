"""The figures of a walk, and their table."""

import os
import subprocess
import sys

from tests.fresh.figures import Figure, children, ended_children_seconds, seconds_of, table


def test_table_has_a_line_for_each_figure_in_columns() -> None:
    assert table([Figure("./dev run: the first answer", 21.04), Figure("plexigate --version", 0.2, 0.118)]) == (
        f"{'':27}   seconds  CPU seconds\n"
        "./dev run: the first answer      21.0\n"
        f"{'plexigate --version':27}       0.2         0.12"
    )


def test_cpu_is_that_of_a_process_until_it_has_ended_and_then_its_parents() -> None:
    before = ended_children_seconds(os.getpid())
    work = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    command = [sys.executable, "-c", work]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in children(os.getpid())
        assert 0.25 < seconds_of(child.pid) < 5
        assert ended_children_seconds(os.getpid()) == before
        child.communicate(b"\n")
    assert seconds_of(child.pid) == 0
    assert ended_children_seconds(os.getpid()) - before > 0.25
