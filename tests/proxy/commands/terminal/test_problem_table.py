"""Problems, for a terminal."""

from io import StringIO

from rich.console import Console

from config.values.problems import Problem, Severity
from proxy.commands.terminal.problem_table import print_problems


def printed(*problems: Problem) -> list[str]:
    output = StringIO()
    print_problems(problems, Console(file=output, width=200))
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_each_with_file_key_found_and_allowed() -> None:
    problems = [
        Problem("a.toml", "listener.public.pq", '"on"', "off, prefer", line=12, column=1),
        Problem("b.pem", "", "a certificate that ends soon", "a newer one", Severity.WARNING),
    ]
    assert printed(*problems) == [
        "error  listener.public.pq",
        "  in       a.toml:12:1",
        '  found    "on"',
        "  allowed  off, prefer",
        "warning  b.pem",
        "  in      b.pem",
        "  found   a certificate that ends soon",
        "  better  a newer one",
    ]


def test_words_of_a_token_do_nothing_to_the_terminal() -> None:
    assert printed(Problem("a", "k", "x\x1b[2J", "one of \x1b]0;y\x07"))[2:] == [
        r"  found    x\x1b[2J",
        r"  allowed  one of \x1b]0;y\x07",
    ]


def test_text_of_a_file_is_no_markup() -> None:
    assert printed(Problem("a", "k", "[red]x[/red]", "[[route]]"))[2:] == [
        "  found    [red]x[/red]",
        "  allowed  [[route]]",
    ]


def test_long_path_is_not_cut() -> None:
    output, file = StringIO(), "/" + "far/" * 40 + "plexigate.toml"
    print_problems([Problem(file, "user", "somebody", "nobody")], Console(file=output, width=80))
    assert file in "".join(output.getvalue().split())
