"""The report for an operator."""

from io import StringIO

from rich.console import Console

from proxy.commands.doctor.table import print_report
from proxy.doctor.checkup import Result
from proxy.doctor.finding import Area, Judge
from tests.proxy.doctor.checkups import checkup

CLOCK = Judge("clock")
RESULTS = [
    Result(checkup("upstreams", area=Area.UPSTREAMS), (Judge("upstreams").skipped("chat", "none"),), 0.1),
    Result(
        checkup("clock"),
        (CLOCK.ok("time", "right"), CLOCK.failure("NTP", "not\x1b[2J synchronised", "Start chrony.")),
        0.1,
    ),
]


def printed(*, shows_all: bool) -> str:
    console = Console(file=StringIO(), width=80)
    print_report(RESULTS, console, shows_all=shows_all)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_short_report_names_what_is_wrong_and_counts_the_rest() -> None:
    assert printed(shows_all=False) == (
        "\n"
        "machine  1 ok, 1 failure\n"
        "  failure clock  NTP\n"
        "          found  not\\x1b[2J synchronised\n"
        "          do     Start chrony.\n"
        "\n"
        "upstreams  1 skipped\n"
        "\n"
        "1 ok, 1 failure, 1 skipped"
    )


def test_whole_report_has_the_worst_first() -> None:
    lines = [
        line.split()[0] for line in printed(shows_all=True).splitlines() if line.startswith("  ") and line[2] != " "
    ]
    assert lines == ["failure", "ok", "skipped"]
