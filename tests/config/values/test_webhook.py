"""The address of a webhook is kept whole, and is shown without what may be its password."""

import pytest

from config.values.addresses import Refused
from config.values.webhook import Webhook, parse_webhook


@pytest.mark.parametrize(
    ("address", "shown", "host"),
    [
        ("https://ntfy.test/secret-topic", "https://ntfy.test/...", "ntfy.test"),
        ("http://[::1]:8080/?key=1", "http://[::1]:8080/...", "[::1]:8080"),
        ("https://ntfy.test?key=1", "https://ntfy.test/...", "ntfy.test"),
        ("https://ntfy.test", "https://ntfy.test", "ntfy.test"),
        ("https://ntfy.test/", "https://ntfy.test/", "ntfy.test"),
    ],
)
def test_an_address_is_shown_by_its_host(address: str, shown: str, host: str) -> None:
    webhook = parse_webhook(address)
    assert isinstance(webhook, Webhook)
    assert (webhook.address, str(webhook), webhook.host) == (address, shown, host)
    assert "secret" not in repr(webhook) + str(webhook)
    assert parse_webhook(webhook) is webhook


def test_no_address_is_none() -> None:
    assert parse_webhook(None) is None


@pytest.mark.parametrize("value", ["ftp://a.test/", "https://", "https://user:word@a.test/", "a.test/secret", 5, ["x"]])
def test_other_values_are_refused_and_not_shown(value: object) -> None:
    with pytest.raises(Refused) as caught:
        parse_webhook(value)
    assert "word" not in str(vars(caught.value).get("found"))
    assert "an address in ASCII that begins with https:// or http://" in str(vars(caught.value))
