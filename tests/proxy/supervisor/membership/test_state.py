"""The file of a node: everything that it needs to serve, and sealed."""

import json
from pathlib import Path

import pytest

from certs.sealing.files import SealedFileUnusable, write_sealed
from certs.sealing.held_key import HeldKey
from certs.sealing.recipients import PrivateRecipient, RecipientKem
from certs.sealing.sealer import AeadSealer
from proxy.supervisor.membership.state import FILE_NAME, NodeFile, NodeState, NoNodeState, Taken
from proxy.supervisor.membership.values import FleetKey

KEM = RecipientKem.MLKEM768_X25519
NEW = NodeState(PrivateRecipient.generate(KEM))
JOINED = NodeState(
    NEW.private, FleetKey.fresh(1), {"a": Taken(7, (b"s" * 32).hex()), "b": Taken(8, None)}, {"epochs/1": b"{}"}, 9
)
SEALER = AeadSealer(HeldKey(bytes(32)))


@pytest.mark.parametrize("state", [NEW, JOINED])
def test_what_is_written_is_read_and_nothing_is_in_the_clear(state: NodeState, tmp_path: Path) -> None:
    file = NodeFile(tmp_path / "state", lambda: SEALER, KEM)
    file.write(state)
    found = file.read()
    assert found.encode() == state.encode()
    assert (found.key, found.values, found.records, found.revision) == (
        state.key,
        state.values,
        state.records,
        state.revision,
    )
    content = (tmp_path / "state" / FILE_NAME).read_bytes()
    assert b"PRIVATE KEY" in state.encode()
    assert b"PRIVATE KEY" not in content
    assert (b"s" * 32).hex().encode() not in content


@pytest.mark.parametrize("kem", RecipientKem)
def test_a_new_node_has_a_key_that_is_kept(kem: RecipientKem, tmp_path: Path) -> None:
    file = NodeFile(tmp_path / "state", lambda: SEALER, kem)
    made = file.read()
    assert (made.private.kem, made.key, made.values, made.revision) == (kem, None, {}, 0)
    assert file.read().encode() == made.encode()


def test_a_file_of_another_key_or_version_is_an_error(tmp_path: Path) -> None:
    NodeFile(tmp_path, lambda: AeadSealer(HeldKey(b"1" * 32)), KEM).write(NEW)
    with pytest.raises(SealedFileUnusable):
        NodeFile(tmp_path, lambda: SEALER, KEM).read()
    for content in (
        b"",
        b"[]",
        b"{}",
        json.dumps({**json.loads(NEW.encode()), "version": 2}).encode(),
        NEW.encode().replace(b"BEGIN", b"X"),
    ):
        write_sealed(tmp_path / FILE_NAME, content, "fleet: node", SEALER)
        with pytest.raises(NoNodeState, match="holds no state of a fleet of this version"):
            NodeFile(tmp_path, lambda: SEALER, KEM).read()


def test_secrets_are_not_shown() -> None:
    shown = repr(JOINED)
    assert JOINED.key is not None
    assert "private" not in shown
    for secret in (JOINED.key.secret, b"s" * 32):
        assert repr(secret) not in shown
        assert secret.hex() not in shown


def test_the_sealing_key_of_the_moment_seals(tmp_path: Path) -> None:
    """A reload may name the next version of it."""
    sealers = [SEALER]
    file = NodeFile(tmp_path, lambda: sealers[-1], KEM)
    file.write(NEW)
    sealers.append(AeadSealer(HeldKey(b"2" * 32)))
    file.write(JOINED)
    assert NodeFile(tmp_path, lambda: sealers[1], KEM).read().encode() == JOINED.encode()


def test_a_slow_thread_brings_no_earlier_state_back(tmp_path: Path) -> None:
    file = NodeFile(tmp_path, lambda: SEALER, KEM)
    slow, quick = file.writing(NEW), file.writing(JOINED)
    quick()
    slow()
    assert file.read().encode() == JOINED.encode()
    file.writing(NEW)()
    assert file.read().encode() == NEW.encode()
