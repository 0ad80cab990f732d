"""Checkpoints that are signed in a real token."""

from pathlib import Path

import pytest

from certs.audit.checkpoint_signer import TokenSigner
from certs.audit.log import AuditLog, AuditRules
from certs.audit.signatures import SignerUnavailable, by_fingerprint
from certs.audit.verification import LogSource, verify
from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName
from tests.certs.audit.logs import NOW, SIGNED, Journal
from tests.hsm_tokens import SoftHsm, token_process


def signer_of(access: TokenAccess, kind: KeyKind) -> TokenSigner:
    name = TokenKeyName("audit", kind, 1)
    with token_process(access) as process:
        process.perform(calls.generate(name))
    return TokenSigner(access, KeyAddress.of(name))


@pytest.mark.parametrize("kind", [KeyKind.ECDSA_P256, KeyKind.ECDSA_P384, KeyKind.RSA_3072])
def test_a_log_is_proven_by_a_key_that_never_leaves_its_token(
    access: TokenAccess, kind: KeyKind, tmp_path: Path
) -> None:
    signer = signer_of(access, kind)
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, AuditRules(checkpoint_lines=2), signer, Journal())
    log.start(NOW)
    for _ in range(4):
        log.record(SIGNED, NOW)
    log.close()
    found = verify(
        [LogSource("audit.jsonl", path.read_bytes().splitlines(keepends=True))], by_fingerprint([signer.public_key])
    )
    assert (found.is_intact, found.proven > 3) == (True, True)


def test_a_key_or_a_token_that_is_gone(access: TokenAccess, hsm: SoftHsm) -> None:
    signer = signer_of(access, KeyKind.ECDSA_P256)
    assert signer.public_key is signer.public_key
    with token_process(access) as process:
        process.perform(calls.destroy(KeyAddress.of(TokenKeyName("audit", KeyKind.ECDSA_P256, 1))))
    with pytest.raises(SignerUnavailable, match=r"audit\.ecdsa-p256\.v1"):
        signer.sign(b"checkpoint")
    with pytest.raises(SignerUnavailable, match="none"):
        TokenSigner(hsm.access("none"), KeyAddress("a")).public_key  # noqa: B018 - it raises
