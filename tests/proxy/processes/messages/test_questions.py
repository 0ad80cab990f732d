"""What the parent asks: secrets are not shown, and what no worker could use is known beforehand."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from proxy.payload.keys.keyring import Keyring
from proxy.payload.keys.payload_keys import PayloadKeys
from proxy.processes.messages.questions import MaintainedRoute, Prepare
from proxy.routes.error_pages import PageUnusable
from proxy.tls.openssl.tickets import TicketSecrets
from tests.messages import unsaid


def test_no_secret_is_shown() -> None:
    secret = b"\x5a" * 32
    keys = PayloadKeys({"chat": Keyring.fresh("chat", secret, 0.0)}, b"")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    prepare = Prepare(1, "a.toml", {"pin": "ZZZ"}, now, TicketSecrets(secret), {}, (), has_served=False, payload=keys)
    assert unsaid(prepare) == {"document", "tickets", "payload"}
    assert "Z" not in repr(prepare).replace("ZoneInfo", "")


def test_maintenance_that_no_worker_could_use_is_refused() -> None:
    usable = MaintainedRoute("chat", 0.0, 60, "<p>{detail}", page_is_html=True, allowed=("10.0.0.0/8",))
    usable.require_usable()
    replace(usable, page="").require_usable()
    with pytest.raises(ValueError, match="a network such as"):
        replace(usable, allowed=("10.0.0.0/33",)).require_usable()
    with pytest.raises(PageUnusable):
        replace(usable, page_is_html=False).require_usable()
    with pytest.raises(ValueError, match="no time"):
        replace(usable, retry_after=0).require_usable()
