"""`[alerts]`: who gets alerts, and how often."""

import tomllib
from datetime import timedelta

import pytest

from config.crosschecks.crosschecks import cross_check
from config.diff import diff
from config.schema import Config
from config.tables.operations.alerts import AlertsConfig

REST = """
[listener.public]
bind = "127.0.0.1:8443"
[identity.chat]
names = ["chat.test"]
certificate = "chat.pem"
key = "chat.key"
[upstream.chat]
servers = ["http://127.0.0.1:8000"]
[[route]]
host = "chat.test"
upstream = "chat"
"""


def config(text: str) -> Config:
    return Config.model_validate(tomllib.loads(text + REST))


def test_without_a_word_alerts_go_to_the_log_and_the_status_only() -> None:
    alerts = config("").alerts
    assert (alerts.command, alerts.webhook) == ((), None)
    assert alerts.repeat.critical < alerts.repeat.serious < alerts.repeat.warning


def test_everything_can_be_said() -> None:
    text = '[alerts]\ncommand = ["page", "--now"]\nwebhook = "https://a.test/x"\nresolve_after = "5m"\n'
    text += 'certificate_left = "2w"\n[alerts.repeat]\ncritical = "10m"\n'
    alerts = config(text).alerts
    assert alerts.command == ("page", "--now")
    assert alerts.webhook is not None
    assert alerts.webhook.address == "https://a.test/x"
    assert (alerts.resolve_after, alerts.certificate_left) == (timedelta(minutes=5), timedelta(weeks=2))
    assert alerts.repeat.critical == timedelta(minutes=10)
    assert cross_check(config(text), "f") == []


@pytest.mark.parametrize(
    "text", ['command = "page"', 'webhook = "ftp://a.test"', 'certificate_left = "0d"', "repeat = 5", "other = 1"]
)
def test_other_values_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        AlertsConfig.model_validate(tomllib.loads(text))


def test_a_reload_tells_of_another_address_without_showing_it() -> None:
    old, new = (config(f'[alerts]\nwebhook = "https://{host}.test/secret"\n') for host in ("a", "b"))
    (change,) = diff(old, new)
    assert str(change) == "alerts.webhook: https://a.test/... -> https://b.test/..."
    assert change.effect == "a new receiver gets the open alerts at once"
