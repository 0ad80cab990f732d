"""What people see of a share, and where it goes."""

import io
from collections.abc import Iterator

import pytest

from certs.recovery.shares import Share, SharingScheme
from proxy.commands.hsm.recovery_terminal import ConsoleTerminal, NoOutput, NoTerminal, share_lines, shares_in

SHARE = Share(2, tuple(f"word{number}" for number in range(1, 34)))
SCHEME = SharingScheme(3, 5)


def test_a_share_in_three_columns_with_its_number_and_those_of_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleTerminal(is_sure=False).show(SHARE, SCHEME)
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert lines[1] == "Share 2 of 5; any 3 of them bring the key back."
    assert lines[3] == "   1. word1       12. word12      23. word23"
    assert lines[13] == "  11. word11      22. word22      33. word33"
    assert "Do not photograph" in output.err
    assert "word" not in output.err.replace("words", "")


def test_with_is_sure_nobody_is_asked_and_nothing_is_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = ConsoleTerminal(is_sure=True)
    terminal.show(SHARE, SCHEME)
    assert terminal.is_written_down(SHARE)
    terminal.hide()
    output = capsys.readouterr()
    assert "\x1b" not in output.out
    assert output.err == ""


def test_what_is_no_secret_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleTerminal(is_sure=False).say("made")
    assert tuple(capsys.readouterr()) == ("", "made\n")


def test_without_a_terminal_a_share_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("acid acne\nalbum\n"))
    terminal = ConsoleTerminal(is_sure=False)
    assert terminal.ask_share("Share 1") == "acid acne"
    assert terminal.ask_share("Share 2") == "album"
    assert terminal.ask_share("Share 3") == ""
    assert not terminal.is_one()
    terminal.hide()
    assert capsys.readouterr().out == ""


def test_a_closed_output_takes_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    ConsoleTerminal.require_output()
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(NoOutput, match="standard output is closed"):
        ConsoleTerminal.require_output()
    assert not ConsoleTerminal.is_one()


def test_no_terminal() -> None:
    assert "allow that with --yes" in str(NoTerminal())


LETTERS = "abcdefghijklmnopqrstuvwxyzabcdefg"
SHARES = [Share(number, tuple(f"word{letter}" for letter in LETTERS)) for number in (1, 2)]
PAIR = SharingScheme(2, 2)
WRITTEN = [line for share in SHARES for line in share_lines(share, PAIR)]
WORDS = " ".join(SHARES[0].words)


def test_in_three_columns_with_its_number_and_those_of_its_words() -> None:
    lines = list(share_lines(SHARES[1], PAIR))
    assert lines[1] == "Share 2 of 2; any 2 of them bring the key back."
    assert lines[3] == "   1. worda       12. wordl       23. wordw"
    assert len(lines) == 15


@pytest.mark.parametrize(
    "lines",
    [
        WRITTEN,
        [f"{line}\n" for line in WRITTEN],
        [line for line in WRITTEN if line.startswith(" ")],
        ["", "", WORDS, "\n", WORDS],
        [*WRITTEN[:15], WORDS],
    ],
    ids=["as written", "with ends of lines", "without headings", "in one line each", "mixed"],
)
def test_read_again(lines: list[str]) -> None:
    assert list(shares_in(lines)) == [WORDS, WORDS]


def test_a_share_is_there_when_its_last_line_is() -> None:
    read: list[str] = []

    def lines() -> Iterator[str]:
        for line in WRITTEN:
            read.append(line)
            yield line

    assert next(shares_in(lines())) == WORDS
    assert len(read) == 14


def test_what_is_no_share_is_handed_on() -> None:
    cut = " ".join(f"word{letter}" for letter in "alw")
    assert list(shares_in(["acid", *WRITTEN[:4], "", "1. acid 1. acne"])) == ["acid", cut, "acne"]
    assert list(shares_in(["", "\n"])) == []
