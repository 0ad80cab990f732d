"""Who knows an invitation joins, and no one else: neither a node without it, nor a fleet that did not make it."""

import json

import pytest

from certs.sealing.recipients import PrivateRecipient, RecipientKem
from proxy.supervisor.membership.joining import Invitation, JoinRequest, NotJoined, welcomed
from proxy.supervisor.membership.values import FleetKey

INVITATION = Invitation("0123456789abcdef", bytes(range(32)))
KEY = FleetKey.fresh(3)
PRIVATE = PrivateRecipient.generate(RecipientKem.MLKEM768_X25519)
REQUEST = JoinRequest.made(INVITATION, "edge-2", PRIVATE.public)
WELCOME = REQUEST.welcome(INVITATION, "edge-2", KEY)


@pytest.mark.parametrize("kem", RecipientKem)
def test_the_key_reaches_the_node_that_was_invited(kem: RecipientKem) -> None:
    private = PrivateRecipient.generate(kem)
    carried = Invitation.parse(f" {INVITATION.token}\n")
    assert carried == INVITATION
    assert Invitation.fresh() != Invitation.fresh()
    request = JoinRequest.parse(JoinRequest.made(carried, "edge-2", private.public).encode())
    assert request.recipient.id == private.public.id
    welcome = request.welcome(INVITATION, "edge-2", KEY)
    assert KEY.secret.hex().encode() not in welcome
    assert welcomed(welcome, carried, "edge-2", private) == KEY


@pytest.mark.parametrize(
    "token", ["", ".", "ab", INVITATION.token[:-1], INVITATION.token + "A", "zz" + INVITATION.token[2:], "é.a"]
)
def test_other_text_is_no_token(token: str) -> None:
    with pytest.raises(NotJoined, match="no token of plexigate fleet invite"):
        Invitation.parse(token)


def test_a_request_without_the_secret_or_under_another_name_is_refused() -> None:
    other = PrivateRecipient.generate(RecipientKem.MLKEM768_X25519).public.pem().decode()
    guessed = Invitation(INVITATION.id, bytes(32))
    for request, node in (
        (JoinRequest.made(guessed, "edge-2", PRIVATE.public), "edge-2"),
        (REQUEST, "edge-3"),
        (JoinRequest(REQUEST.invitation, other, REQUEST.proof), "edge-2"),
    ):
        with pytest.raises(NotJoined, match="was not made with this invitation, or was changed"):
            request.welcome(INVITATION, node, KEY)


def test_a_request_without_a_public_key_is_refused() -> None:
    for public in ("", PRIVATE.public.pem().decode()[:200]):
        request = JoinRequest(INVITATION.id, public, INVITATION.proof("join", "edge-2", public))
        with pytest.raises(NotJoined, match="no public key"):
            request.welcome(INVITATION, "edge-2", KEY)


NOT_ASCII = {"invitation": "", "public": "\ud800", "epoch": 1, "wrapped": "", "proof": "é"}
OF_NO_EPOCH = {"invitation": [], "epoch": float("inf"), "wrapped": "", "proof": ""}


@pytest.mark.parametrize(
    "value",
    [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, json.dumps(NOT_ASCII).encode(), json.dumps(OF_NO_EPOCH).encode()],
)
def test_what_is_no_request_and_no_welcome_is_refused(value: bytes) -> None:
    with pytest.raises(NotJoined, match="none of this version"):
        JoinRequest.parse(value)
    with pytest.raises(NotJoined, match="none of this version"):
        welcomed(value, INVITATION, "edge-2", PRIVATE)


def test_a_welcome_of_a_stranger_is_refused() -> None:
    stranger = Invitation(INVITATION.id, bytes(32))
    forged = JoinRequest.made(stranger, "edge-2", PRIVATE.public).welcome(stranger, "edge-2", FleetKey.fresh(3))
    changed = json.dumps({**json.loads(WELCOME), "epoch": 4}).encode()
    for value in (forged, changed, REQUEST.encode().replace(b"public", b"wrapped").replace(b"invitation", b"epoch")):
        with pytest.raises(NotJoined):
            welcomed(value, INVITATION, "edge-2", PRIVATE)
    with pytest.raises(NotJoined, match="does not know the invitation"):
        welcomed(forged, INVITATION, "edge-2", PRIVATE)


def test_a_welcome_for_something_else_is_refused() -> None:
    for wrapped in (PRIVATE.public.seal(KEY.secret).hex(), ""):  # as of a backup, or nothing
        proof = INVITATION.proof("welcome", "edge-2", PRIVATE.public.pem().decode(), "3", wrapped)
        value = json.dumps({"epoch": 3, "wrapped": wrapped, "proof": proof}).encode()
        with pytest.raises(NotJoined, match="not for the key of this node"):
            welcomed(value, INVITATION, "edge-2", PRIVATE)


def test_the_secret_is_not_shown() -> None:
    assert INVITATION.secret.hex() not in repr(INVITATION)
    assert repr(INVITATION.secret) not in repr(INVITATION)
    assert INVITATION.secret.hex().encode() not in REQUEST.encode() + WELCOME
