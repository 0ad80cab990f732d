"""What parent and workers say to each other, beside what JSON has by itself. Without a word of what only the parent does."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from config.pkcs11_uri import Pkcs11Uri
from proxy.tls.challenge import TlsChallenge
from proxy.tls.tickets import TicketSecrets


def tickets_as_json(tickets: TicketSecrets) -> list[str | None]:
    """The secrets, for a worker's `prepare`."""
    return [tickets.current.hex(), None if tickets.previous is None else tickets.previous.hex()]


def tickets_from_json(secrets: Sequence[str | None]) -> TicketSecrets:
    """What `tickets_as_json` wrote."""
    current, previous = secrets
    assert current is not None  # there is always one
    return TicketSecrets(bytes.fromhex(current), None if previous is None else bytes.fromhex(previous))


def key_as_json(key: Pkcs11Uri) -> dict[str, str | None]:
    """Which key a worker is to try: token and serial, label and id."""
    return {
        "token": key.token,
        "serial": key.serial,
        "object": key.object,
        "id": None if key.id is None else key.id.hex(),
    }


def key_from_json(body: Mapping[str, Any]) -> Pkcs11Uri:
    """What `key_as_json` wrote. Raises ValueError for an id that is not hexadecimal."""
    return Pkcs11Uri(
        token=body["token"],
        serial=body["serial"],
        object=body["object"],
        id=None if body["id"] is None else bytes.fromhex(body["id"]),
    )


def challenges_as_json(challenges: Iterable[TlsChallenge], tokens: Mapping[str, str]) -> dict[str, Any]:
    """All pending challenges, for workers: names and digests of tls-alpn-01, tokens and their answers of http-01. No secret."""
    return {"names": [[one.name, one.digest.hex()] for one in challenges], "tokens": dict(tokens)}


def challenges_from_json(body: Mapping[str, Any]) -> tuple[list[TlsChallenge], dict[str, str]]:
    """What `challenges_as_json` wrote."""
    return [TlsChallenge(name, bytes.fromhex(digest)) for name, digest in body["names"]], dict(body["tokens"])
