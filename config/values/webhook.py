"""The address of a webhook: it may have a secret in its path, so it is never shown whole. Pure."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import PlainValidator

from config.values.addresses import Refused, parse_web_address

_ADDRESS: Final = re.compile(r"(https?://[^\s/?#@]+)(/?)([^\s@]*)")


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where an alert is posted. `str()` shows scheme, host and port only.

    The path is the password of services such as Slack and ntfy: who knows it can post there.
    """

    address: str = field(repr=False)

    def __str__(self) -> str:
        found = _ADDRESS.fullmatch(self.address)
        assert found is not None  # `parse_webhook` makes it
        return f"{found[1]}/..." if found[3] else self.address

    @property
    def host(self) -> str:
        return str(self).partition("//")[2].partition("/")[0]


def parse_webhook(value: object) -> Webhook | None:
    """Read an address. None stays None. Raises `Refused`, without the address in its text."""
    if value is None or isinstance(value, Webhook):
        return value
    text = value if isinstance(value, str) else ""
    try:
        return Webhook(parse_web_address(text))
    except Refused as error:
        found = "another text (not shown, as it may be secret)" if text else None
        raise Refused(error.allowed, found=found) from None


OptionalWebhook = Annotated[Webhook | None, PlainValidator(parse_webhook)]
