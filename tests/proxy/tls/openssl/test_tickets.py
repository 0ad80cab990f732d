"""Ticket keys: the same in every process that holds the secret, another for everything a ticket is bound to."""

import hashlib
import hmac
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.tls.openssl.tickets import KEY_NAME_BYTES, SECRET_BYTES, TICKET_KEY_BYTES, TicketSecrets, ticket_key

SECRET = bytes(range(32))


def test_key_is_pinned() -> None:
    """It must not change with a release: a rolling update has both running. HKDF of RFC 5869 by hand gives the same."""
    assert ticket_key(SECRET, "chat", "X25519MLKEM768 / X25519|TLS_AES_256_GCM_SHA384").hex() == _hkdf_by_hand(
        SECRET, b"plexigate tls ticket\x00chat\x00X25519MLKEM768 / X25519|TLS_AES_256_GCM_SHA384"
    )


def _hkdf_by_hand(secret: bytes, info: bytes) -> str:
    extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
    block, output = b"", b""
    for counter in itertools.count(1):
        block = hmac.digest(extracted, block + info + bytes((counter,)), hashlib.sha256)
        output += block
        if len(output) >= TICKET_KEY_BYTES:
            break
    return output[:TICKET_KEY_BYTES].hex()


def test_key_has_the_length_that_openssl_wants() -> None:
    assert len(ticket_key(SECRET, "chat", "policy")) == TICKET_KEY_BYTES == 80


def test_everything_it_is_bound_to_changes_name_and_keys() -> None:
    keys = [
        ticket_key(secret, identity, policy)
        for secret in (SECRET, SECRET[::-1])
        for identity in ("chat", "files")
        for policy in ("A:B|suite", "A|suite")
    ]
    for part in (slice(0, 16), slice(16, 48), slice(48, 80)):
        assert len({key[part] for key in keys}) == len(keys)


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_names_of_the_configuration_never_collide(one: tuple[str, str], two: tuple[str, str]) -> None:
    """Identities have no NUL in their name (`config.schema`), so the border between both parts is where it was."""
    if one != two and "\0" not in one[0] + two[0]:
        assert ticket_key(SECRET, *one) != ticket_key(SECRET, *two)


class TestSecrets:
    def test_fresh_one_has_no_predecessor_and_is_another_each_time(self) -> None:
        one, two = TicketSecrets.fresh(), TicketSecrets.fresh()
        assert len(one.current) == SECRET_BYTES
        assert one.current != two.current
        assert one.previous is None

    def test_rotation_keeps_the_one_before_and_forgets_the_one_before_that(self) -> None:
        first = TicketSecrets(b"1" * 32)
        second = first.rotated(b"2" * 32)
        third = second.rotated(b"3" * 32)
        assert (second.current, second.previous) == (b"2" * 32, b"1" * 32)
        assert (third.current, third.previous) == (b"3" * 32, b"2" * 32)

    @pytest.mark.parametrize("shown", [repr, str])
    def test_they_do_not_show_themselves(self, shown: "type[str]") -> None:
        assert shown(TicketSecrets(b"hunter2" * 5, b"letmein" * 5)) == "TicketSecrets()"

    def test_name_of_the_key_stands_at_its_front(self) -> None:
        assert KEY_NAME_BYTES == 16
