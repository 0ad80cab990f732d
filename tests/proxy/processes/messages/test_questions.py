"""What the parent asks: secrets are not shown."""

from datetime import UTC, datetime

from proxy.payload.keys.keyring import Keyring
from proxy.payload.keys.payload_keys import PayloadKeys
from proxy.processes.messages.questions import Prepare
from proxy.tls.openssl.tickets import TicketSecrets
from tests.messages import unsaid


def test_no_secret_is_shown() -> None:
    secret = b"\x5a" * 32
    keys = PayloadKeys({"chat": Keyring.fresh("chat", secret, 0.0)}, b"")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    prepare = Prepare(1, "a.toml", {"pin": "ZZZ"}, now, TicketSecrets(secret), {}, (), has_served=False, payload=keys)
    assert unsaid(prepare) == {"document", "tickets", "payload"}
    assert "Z" not in repr(prepare).replace("ZoneInfo", "")
