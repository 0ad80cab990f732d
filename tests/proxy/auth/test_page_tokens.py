"""Tokens of the admin page: which are random enough, who is let in, and for how long."""

import pytest

from proxy.auth.page_tokens import (
    SESSION_SECONDS,
    PageTokens,
    TokensRefused,
    bearer_token,
    parse_tokens,
    session_of,
)

ONE = b"7f3c9a51e0d84b2267c1f5a093be4d18"
TWO = b"Zm9vYmFyLXRva2VuLTAxMjM0NTY3ODkrLw=="
NOW = 1_780_315_200.0
NONCE = bytes(range(16))


def test_tokens_of_a_file_are_known_and_no_others() -> None:
    tokens = parse_tokens(b"# the night shift\n\n" + ONE + b"\r\n  " + TWO + b"  \n")
    assert tokens.knows(ONE)
    assert tokens.knows(TWO)
    assert not tokens.knows(ONE[:-1])
    assert not tokens.knows(b"")
    assert repr(tokens) == "<PageTokens: 2>"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no token"),
        (b"# only a comment\n", "no token"),
        (ONE[:31], "line 1, which is not a token of 32 to 256 letters and digits (not shown)"),
        (ONE + b"\n" + ONE + b"!", "line 2, which is not a token of 32 to 256 letters and digits (not shown)"),
        (b"ab" * 20, "line 1 with a token that is not random (not shown)"),
        (b"\n".join(ONE + b"%d" % number for number in range(17)), "17 tokens"),
    ],
)
def test_file_that_cannot_be_used_is_refused_without_its_content(content: bytes, found: str) -> None:
    with pytest.raises(TokensRefused) as refused:
        parse_tokens(content)
    assert refused.value.found == found


def test_session_is_open_until_it_ends() -> None:
    tokens, session = PageTokens([TWO, ONE]), session_of(ONE, NONCE, NOW)
    assert tokens.is_open(session, NOW)
    assert tokens.is_open(session, NOW + SESSION_SECONDS - 1)
    assert not tokens.is_open(session, NOW + SESSION_SECONDS)


def test_session_ends_with_its_token() -> None:
    assert not PageTokens([TWO]).is_open(session_of(ONE, NONCE, NOW), NOW)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_session_of_which_a_part_was_changed_is_no_session(part: int) -> None:
    parts = session_of(ONE, NONCE, NOW).split(b".")
    parts[part] = parts[part][:-1] + (b"1" if parts[part][-1:] != b"1" else b"2")
    assert not PageTokens([ONE]).is_open(b".".join(parts), NOW)


@pytest.mark.parametrize("session", [b"", b"x", b"1.2.3", ONE])
def test_cookie_of_another_form_is_no_session(session: bytes) -> None:
    assert not PageTokens([ONE]).is_open(session, NOW)


@pytest.mark.parametrize(
    ("values", "token"),
    [
        ([b"Bearer " + ONE], ONE),
        ([b"bearer  " + TWO], TWO),
        ([b"Basic " + ONE], None),
        ([ONE], None),
        ([b"Bearer " + ONE, b"Bearer " + ONE], None),
        ([], None),
    ],
)
def test_token_of_a_program(values: list[bytes], token: bytes | None) -> None:
    assert bearer_token([(b"Host", b"x"), *((b"Authorization", value) for value in values)]) == token
