"""Values of listeners that do not read HTTP."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from config.schema import ServerAddress
from config.tables.tcp import Alpn, PassthroughServer, UpstreamByName

ALPN: TypeAdapter[tuple[str, ...]] = TypeAdapter(Alpn)
SERVER: TypeAdapter[ServerAddress] = TypeAdapter(PassthroughServer)


@pytest.mark.parametrize("names", [[], ["irc"], ["xmpp-client", "h2"], ["x" * 255]])
def test_names_of_protocols(names: list[str]) -> None:
    assert ALPN.validate_python(names) == tuple(names)
    assert ALPN.validate_python(tuple(names)) == tuple(names)


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        ("irc", "a list of protocol names"),
        ([""], "a list of protocol names"),
        ([7], "a list of protocol names"),
        (["x" * 256], "a list of protocol names"),
        (["ü"], "a list of protocol names"),
        (["two words"], "a list of protocol names"),
        (["tab\t"], "a list of protocol names"),
        (["irc", "irc"], "each protocol once"),
        (["acme-tls/1"], "answers by itself"),
    ],
)
def test_other_names_are_refused(names: Any, allowed: str) -> None:
    with pytest.raises(ValidationError, match=allowed):
        ALPN.validate_python(names)


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:5349", "unix:/run/turn.sock"])
def test_server_of_a_passthrough(text: str) -> None:
    assert str(SERVER.validate_python(text)) == text
    assert SERVER.validate_python(SERVER.validate_python(text)) == SERVER.validate_python(text)


@pytest.mark.parametrize("found", ["https://a", "tls://a:1", "tcp://a", 7, ServerAddress("http", "a", 80)])
def test_other_servers_are_refused(found: Any) -> None:
    with pytest.raises(ValidationError):
        SERVER.validate_python(found)


def test_name_stands_once_in_any_spelling() -> None:
    names: TypeAdapter[dict[str, str]] = TypeAdapter(UpstreamByName)
    assert names.validate_python({"IRC.test": "one", "*.test": "two"}) == {"irc.test": "one", "*.test": "two"}
    with pytest.raises(ValidationError, match="each name once"):
        names.validate_python({"irc.test": "one", "IRC.test": "two"})
    with pytest.raises(ValidationError):
        names.validate_python("irc.test")
