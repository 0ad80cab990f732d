"""Facts for standards, as a test needs them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from config.loading.loader import load
from config.schema import Config
from proxy.doctor.standards.assessment import Assessment, Conformity
from proxy.doctor.standards.facts import OpensslView, StandardFacts
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site

NOW = 1_795_867_200.0  # 2026-11-28 12:00 UTC
DAY = 86_400.0
USUAL = "X25519MLKEM768:SecP256r1MLKEM768 / X25519:secp256r1"


def configuration(directory: Path, text: str = "", listener: str = "", identity: str | None = None) -> Config:
    """A configuration with one listener and one identity."""
    site = Site.make(directory)
    return load(
        site.write(
            MINIMAL_LISTENER + listener + (site.identity if identity is None else identity) + MINIMAL_REST + text
        )
    ).config


def listener(groups: str = USUAL, name: str = "public", pq: str = "prefer") -> Any:
    return {"name": name, "pq": pq, "groups": groups}


def certificate(
    algorithm: str = "ecdsa-p256", days: float = 90.0, identity: str = "chat", signatures: tuple[str, ...] = ()
) -> Any:
    return {
        "identity": identity,
        "algorithm": algorithm,
        "signatures": list(signatures),
        "begins_at": NOW - DAY,
        "expires_at": NOW - DAY + days * DAY,
    }


def status(
    *listeners: Any,
    certificates: tuple[dict[str, Any], ...] = (),
    groups: dict[str, int] | None = None,
    digest: str = "ab" * 32,
) -> Any:
    """An answer to GET /status."""
    by_group = groups or {}
    return {
        "listeners": list(listeners),
        "certificates": list(certificates),
        "handshakes": {"established": sum(by_group.values()), "by_group": by_group},
        "configuration": {"file": "/etc/p.toml", "sha256": digest, "read_at": NOW},
    }


def openssl(*providers: str, missing: tuple[str, ...] = ()) -> OpensslView:
    return OpensslView(("default", *providers), missing)


def facts(
    config: Config | None = None,
    status: Any = None,
    payload: Any = None,
    openssl: OpensslView | None = None,
    digest: str | None = None,
) -> StandardFacts:
    return StandardFacts(config, status, payload, openssl, digest, NOW)


def verdicts(rows: list[Assessment]) -> list[Conformity]:
    return [one.verdict for one in rows]


def verdict(rows: Iterable[Assessment], words: str) -> Conformity | None:
    """Of the only one with these words; None if it is left out."""
    found = [one.verdict for one in rows if words in f"{one.clause} {one.requirement}"]
    assert len(found) <= 1
    return found[0] if found else None


def of_clause(rows: list[Assessment], words: str) -> list[Assessment]:
    """Those whose clause or requirement has these words."""
    found = [one for one in rows if words in f"{one.clause} {one.requirement}"]
    assert found, [one.requirement for one in rows]
    return found
