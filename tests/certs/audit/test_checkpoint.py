"""Checkpoints: what is signed, and how they come back out of a journal."""

import json
from dataclasses import replace

import pytest

from certs.audit.chain import Head
from certs.audit.checkpoint import MARK, Checkpoint, NotACheckpoint, checkpoints_in
from certs.audit.line import Facts
from certs.audit.signatures import fingerprint
from tests.certs.audit.logs import LOG, NOW, OTHER_SIGNER, SIGNER

HEAD = Head(LOG, 12, bytes(range(32)))
PLAIN = Checkpoint.of(HEAD, NOW)
SIGNED = PLAIN.signed(SIGNER)


def test_signature_covers_each_fact() -> None:
    assert SIGNED.is_signed_by(SIGNER.public_key)
    assert SIGNED.key == fingerprint(SIGNER.public_key)
    assert not SIGNED.is_signed_by(OTHER_SIGNER.public_key)
    assert not PLAIN.is_signed_by(SIGNER.public_key)
    for change in ({"log": "f" * 32}, {"count": 13}, {"head": bytes(32)}, {"time": "2026"}):
        assert not replace(SIGNED, **change).is_signed_by(SIGNER.public_key)


@pytest.mark.parametrize("checkpoint", [SIGNED, PLAIN.unsigned("the token is gone")])
def test_facts_of_its_line(checkpoint: Checkpoint) -> None:
    assert Checkpoint.from_facts(checkpoint.facts) == checkpoint


def test_without_a_key_it_says_so() -> None:
    assert PLAIN.facts["unsigned"] == "no key to sign with"


@pytest.mark.parametrize(
    "change",
    [{"log": "x"}, {"log": 1}, {"count": 0}, {"count": "1"}, {"head": "00"}, {"at": 1}, {"signature": "é"}],
)
def test_what_is_no_checkpoint(change: Facts) -> None:
    with pytest.raises(NotACheckpoint):
        Checkpoint.from_facts({**SIGNED.facts, **change})


def test_found_in_every_form_of_the_journal() -> None:
    quoted = PLAIN.unsigned('CKR_"\\odd')
    export = [
        f"May 04 03:02:01 gate plexigate[12]: {SIGNED.journal_text}",
        json.dumps({"MESSAGE": SIGNED.journal_text, "_PID": "12"}, separators=(",", ":")),
        json.dumps({"MESSAGE": SIGNED.journal_text, "_PID": "12"}, indent=1),
        f"{quoted.journal_text}\n",
        "another line",
        f"{MARK} {{}}",
        f"{MARK} {{1}}",
        f"{MARK} {'{' * 3}}}",
    ]
    assert checkpoints_in(export) == (SIGNED, SIGNED, SIGNED, PLAIN)
