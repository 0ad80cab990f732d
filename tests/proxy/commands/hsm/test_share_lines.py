"""Shares as text, and back."""

from collections.abc import Iterator

import pytest

from certs.recovery.shares import Share, SharingScheme
from proxy.commands.hsm.share_lines import share_lines, shares_in

LETTERS = "abcdefghijklmnopqrstuvwxyzabcdefg"
SHARES = [Share(number, tuple(f"word{letter}" for letter in LETTERS)) for number in (1, 2)]
SCHEME = SharingScheme(2, 2)
WRITTEN = [line for share in SHARES for line in share_lines(share, SCHEME)]
WORDS = " ".join(SHARES[0].words)


def test_in_three_columns_with_its_number_and_those_of_its_words() -> None:
    lines = list(share_lines(SHARES[1], SCHEME))
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
