"""What the parent asks: secrets are not shown."""

from datetime import UTC, datetime

from proxy.payload.keyring import Keyring
from proxy.payload.keys import PayloadKeys
from proxy.processes.messages.questions import Prepare
from proxy.tls.tickets import TicketSecrets
from tests.messages import unsaid


def test_no_secret_is_shown() -> None:
    secret = b"\x5a" * 32
    keys = PayloadKeys({"chat": Keyring.fresh("chat", secret, 0.0)}, b"")
    prepare = Prepare(1, "a.toml", "ZZZ", datetime(2026, 1, 1, tzinfo=UTC), TicketSecrets(secret), {}, False, keys)  # noqa: FBT003 - a field
    assert unsaid(prepare) == {"content", "tickets", "payload"}
    assert "Z" not in repr(prepare).replace("ZoneInfo", "")
