"""A configuration that may be shown has everything but its secrets."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from config.displayed import ADDRESSES, HIDDEN, PROGRAMS, VALUES, WEBHOOKS, displayed
from config.routes.replies import RespondConfig
from config.routes.route import RouteConfig
from config.tables.issuers import AcmeIssuerConfig
from config.tables.operations.alerts import AlertsConfig
from config.tables.rotation import RotationConfig

EXAMPLE = (Path(__file__).parents[2] / "config/example.toml").read_bytes()


def test_what_has_no_secret_is_the_same_configuration() -> None:
    assert tomllib.loads(displayed(EXAMPLE)) == tomllib.loads(EXAMPLE.decode())


def test_comments_are_left_out() -> None:
    assert displayed(b"\xef\xbb\xbf# the password is swordfish\nworkers = 2 # swordfish\n") == "workers = 2\n"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('[alerts]\nwebhook = "https://ntfy.sh/swordfish"', {"alerts": {"webhook": "https://ntfy.sh/..."}}),
        ('[alerts]\nwebhook = "swordfish"', {"alerts": {"webhook": HIDDEN}}),
        (
            '[alerts]\ncommand = ["/bin/page", "--token", "swordfish"]',
            {"alerts": {"command": ["/bin/page", HIDDEN, HIDDEN]}},
        ),
        (
            '[upstream.a]\nhealth = { path = "/up?key=swordfish" }',
            {"upstream": {"a": {"health": {"path": f"/up?{HIDDEN}"}}}},
        ),
        ('[issuer.a]\nhook = "/bin/hook"', {"issuer": {"a": {"hook": "/bin/hook"}}}),
        (
            '[[route]]\nheaders = { X-Key = "swordfish" }\nquery = { key = "swordfish" }',
            {"route": [{"headers": {"X-Key": HIDDEN}, "query": {"key": HIDDEN}}]},
        ),
        (
            '[[route]]\nrequest_headers = { remove = ["X-B"], set = { Authorization = "swordfish" } }',
            {"route": [{"request_headers": {"remove": ["X-B"], "set": {"Authorization": HIDDEN}}}]},
        ),
        (
            '[[route]]\nrespond = { status = 200, body = "swordfish", headers = { "a.b" = "swordfish" } }',
            {"route": [{"respond": {"status": 200, "body": HIDDEN, "headers": {"a.b": HIDDEN}}}]},
        ),
        (
            '[identity.a]\nkey = "-----BEGIN PRIVATE KEY-----swordfish"',
            {"identity": {"a": {"key": HIDDEN}}},
        ),
        ("[payload.sessions]\n[limits]\nx = true", {"payload": {"sessions": {}}, "limits": {"x": True}}),
    ],
)
def test_secrets_are_left_out(written: str, shown: dict[str, Any]) -> None:
    text = displayed(written.encode())
    assert "swordfish" not in text
    assert tomllib.loads(text) == shown


def test_the_keys_are_those_of_the_schema() -> None:
    """A key that is renamed would show its secret."""
    tables = (AcmeIssuerConfig, AlertsConfig, RespondConfig, RotationConfig, RouteConfig)
    assert {name for table in tables for name in table.model_fields} >= VALUES | PROGRAMS | WEBHOOKS | ADDRESSES
