"""A client that one certificate alone can pass."""

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.rotation.facts import leaf_of
from certs.storage.shelf import StoredVersion
from proxy.rotation.pinned import ShownChain, name_to_ask_for, said, shown_over
from proxy.tls.openssl.libssl import set_groups
from tests.proxy.rotation import showing
from tests.proxy.rotation.showing import server_context
from tests.rotations import Rotations, Time, configuration

NAMES = ("chat.test",)


def scene(directory: Path, *keys: str) -> Rotations:
    """With the time of now: OpenSSL has a clock of its own."""
    return Rotations(directory, configuration(*keys), Time(datetime.now(UTC).replace(microsecond=0)))  # noqa: TID251


def fault(shown: StoredVersion, expected: StoredVersion, names: tuple[str, ...] = NAMES) -> str | None:
    with showing.shown_over(server_context(shown)) as client:
        return shown_over(client, [leaf_of(expected)], names).fault


def test_what_should_serve_passes_and_nothing_else(tmp_path: Path) -> None:
    rotations = scene(tmp_path)
    first, second = rotations.serve(), rotations.serve()
    assert fault(second, second) is None
    assert fault(first, second) is not None, "another certificate of the same CA, for the same name"


def test_of_replicas_the_one_that_is_shown_is_named(tmp_path: Path) -> None:
    rotations = scene(tmp_path)
    first, second = rotations.serve(), rotations.serve()
    leaves = [leaf_of(first), leaf_of(second)]
    with showing.shown_over(server_context(second)) as client:
        assert shown_over(client, leaves, NAMES) == ShownChain(f"{leaves[1].serial_number:x}")


def test_listener_with_the_groups_of_the_strictest_level_passes(tmp_path: Path) -> None:
    version = scene(tmp_path).serve()
    context = server_context(version)
    set_groups(context, "SecP384r1MLKEM1024:MLKEM1024")
    with showing.shown_over(context) as client:
        assert shown_over(client, [leaf_of(version)], NAMES).fault is None


def test_another_name_does_not_pass(tmp_path: Path) -> None:
    version = scene(tmp_path).serve()
    assert "Hostname mismatch" in str(fault(version, version, ("www.test",)))


def test_of_two_kinds_each_is_looked_at(tmp_path: Path) -> None:
    rotations = scene(tmp_path, "ec-p256@file")
    classical = rotations.serve()
    rotations.follow(configuration("mldsa-65@file"))
    quantum_safe = rotations.serve()
    for one in (classical, quantum_safe):
        with showing.shown_over(server_context(classical, quantum_safe)) as client:
            assert shown_over(client, [leaf_of(one)], NAMES).fault is None


def test_a_server_that_hangs_up_is_a_fault(tmp_path: Path) -> None:
    version = scene(tmp_path).serve()
    ours, theirs = socket.socketpair()
    theirs.close()
    assert shown_over(ours, [leaf_of(version)], NAMES).fault


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (("*.chat.test", "chat.test"), "check.chat.test"),
        (("127.0.0.1", "chat.test"), "chat.test"),
        (("::1",), "::1"),
        (("127.0.0.1",), "127.0.0.1"),
    ],
)
def test_names_that_a_client_can_ask_for_are_asked_for(names: tuple[str, ...], name: str) -> None:
    assert name_to_ask_for(names) == name


def test_errors_are_told_in_a_few_words() -> None:
    assert said(ConnectionRefusedError(111, "Connection refused")) == "Connection refused"
    assert said(ssl.SSLError("odd")) in {"odd", "('odd',)"}
