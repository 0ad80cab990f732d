"""Checkpoints that are signed in a real token."""

import os
import signal
from pathlib import Path

import pytest

from certs.audit.log import AuditLog, AuditRules
from certs.audit.signing import SignerUnavailable
from certs.audit.verification import Source, verify
from certs.hsm import calls
from certs.hsm.checkpoint_signer import TokenSigner
from certs.hsm.client import TokenProcess
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import KeyName
from certs.keys.token_private_key import token_private_key
from certs.keys.token_public_key import public_key_of
from tests.certs.audit.logs import NOW, SIGNED, Journal


def signer_of(token: TokenProcess, kind: KeyKind) -> TokenSigner:
    name = KeyName("audit", kind, 1)
    token.perform(calls.generate(name))
    address = KeyAddress.of(name)
    public = public_key_of(token.perform(calls.public_parts(address)))
    return TokenSigner(token_private_key(public, address, token.perform))


@pytest.mark.parametrize("kind", [KeyKind.ECDSA_P256, KeyKind.ECDSA_P384, KeyKind.RSA_3072])
def test_a_log_is_proven_by_a_key_that_never_leaves_its_token(
    token: TokenProcess, kind: KeyKind, tmp_path: Path
) -> None:
    signer = signer_of(token, kind)
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, AuditRules(checkpoint_lines=2), signer, Journal())
    log.start(NOW)
    for _ in range(4):
        log.record(SIGNED, NOW)
    log.close()
    found = verify([Source("audit.jsonl", path.read_bytes().splitlines(keepends=True))], signer.public_key)
    assert (found.is_intact, found.proven > 3) == (True, True)


def test_a_token_that_is_gone(token: TokenProcess) -> None:
    signer = signer_of(token, KeyKind.ECDSA_P256)
    os.kill(token.pid, signal.SIGKILL)
    with pytest.raises(SignerUnavailable):
        signer.sign(b"checkpoint")
