"""How large a log is, by its own word; where its key is known, the word is signed and new."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from certs.transparency.entries import AnswerDamaged
from certs.transparency.log_list import KnownLog, parse_log_list
from certs.transparency.tree_heads import checkpoint_size, tree_size
from tests.certs.authority import NOW
from tests.transparency_logs import SigningLog, log_list

LOG = SigningLog("first", "A")
RSA = SigningLog("second", "B", kind="rsa-2048")
DEEP = b"[" * 200_000


def known(log: SigningLog) -> KnownLog:
    (found,) = parse_log_list(log_list(log)).logs.values()
    return found


def test_a_log_that_the_list_does_not_have_is_believed() -> None:
    assert tree_size(b'{"tree_size": 7, "timestamp": 1}', None, NOW) == 7
    assert checkpoint_size(b"log.test\n7\ncm9vdA==\n\n\xe2\x80\x94 log.test x\n", None, NOW) == 7


@pytest.mark.parametrize(
    ("read", "answer"), [(tree_size, SigningLog.tree_head), (checkpoint_size, SigningLog.checkpoint)]
)
class TestSigned:
    @pytest.mark.parametrize("log", [LOG, RSA])
    def test_it_is_signed_by_the_key_of_the_log(
        self, read: Callable[..., int], answer: Callable[..., bytes], log: SigningLog
    ) -> None:
        assert read(answer(log, 7, NOW), known(log), NOW + timedelta(hours=24)) == 7
        with pytest.raises(AnswerDamaged, match="a tree head that the log of the list, first, has not signed"):
            read(answer(SigningLog("other", "A"), 7, NOW), known(LOG), NOW)

    def test_another_size_or_root_is_not_signed(self, read: Callable[..., int], answer: Callable[..., bytes]) -> None:
        good = answer(LOG, 7_777, NOW)
        for bad in (good.replace(b"7777", b"7778"), good.replace(_root(b"\0"), _root(b"\1"))):
            assert bad != good
            with pytest.raises(AnswerDamaged, match="has not signed"):
                read(bad, known(LOG), NOW)

    def test_an_old_one_would_hide_what_came_since(
        self, read: Callable[..., int], answer: Callable[..., bytes]
    ) -> None:
        at = NOW - timedelta(hours=25)
        with pytest.raises(AnswerDamaged, match=f"a tree head of {at:%Y-%m-%d %H:%M} UTC, and a log makes a new one"):
            read(answer(LOG, 7, at), known(LOG), NOW)


def _root(byte: bytes) -> bytes:
    return base64.b64encode(byte * 32)


def test_witnesses_may_sign_a_checkpoint_too() -> None:
    text, signature = LOG.checkpoint(7, NOW).split(b"\n\n")
    witness = "\u2014 witness.test ".encode() + base64.b64encode(bytes(76))
    assert checkpoint_size(b"\n".join((text, b"", witness, signature)), known(LOG), NOW) == 7
    with pytest.raises(AnswerDamaged, match="has not signed"):
        checkpoint_size(b"\n".join((text, b"", witness)), known(LOG), NOW)


def head(**fields: Any) -> bytes:
    return json.dumps({**json.loads(LOG.tree_head(7, NOW)), **fields}).encode()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"tree_size": "7"}', b'{"tree_size": -1}', DEEP])
def test_no_size(content: bytes) -> None:
    with pytest.raises(AnswerDamaged):
        tree_size(content, None, NOW)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"tree_size": 7}', "no signed tree head"),
        (head(sha256_root_hash="!"), "no signed tree head"),
        (head(tree_head_signature=7), "no signed tree head"),
        (head(tree_head_signature=""), "has not signed"),
        (head(timestamp="1"), "a tree head of no time"),
        (head(timestamp=-1), "a tree head of no time"),
        (head(timestamp=1 << 47), "a tree head of no time"),
    ],
)
def test_no_tree_head(content: bytes, found: str) -> None:
    with pytest.raises(AnswerDamaged, match=found):
        tree_size(content, known(LOG), NOW)


@pytest.mark.parametrize(
    "content", [b"", b"a\nb\nc", b"a\n1", *(b"a\n" + b"9" * digits + b"\nc" for digits in (19, 30, 5_000))]
)
def test_no_checkpoint(content: bytes) -> None:
    with pytest.raises(AnswerDamaged, match="its answer is none of a log: "):
        checkpoint_size(content, None, NOW)


@pytest.mark.parametrize("content", [b"a\n1\n!", b"a\n1\n\n\n- a !"])
def test_no_signed_checkpoint(content: bytes) -> None:
    with pytest.raises(AnswerDamaged, match="no checkpoint"):
        checkpoint_size(content, known(LOG), NOW)
