"""The rings of payload encryption: each key of the running proxy encrypts and decrypts."""

from collections.abc import Iterator
from typing import Final

from proxy.api.commands import RingTrialRow
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge

_PAYLOAD: Final = Judge("payload keys")


def ring_findings(keys: list[RingTrialRow]) -> Iterator[Finding]:
    """Judge the answer of `GET /payload-test`.

    There is a finding for each ring that works, and one for each key that does not.
    """
    if not keys:
        yield _PAYLOAD.skipped("payload encryption", "the running proxy has no ring")
    for ring in dict.fromkeys(one["ring"] for one in keys):
        of_ring = [one for one in keys if one["ring"] == ring]
        for one in [one for one in of_ring if one["fault"] is not None]:
            remedy = f"plexigate payload rotate {ring} makes a new key; clients fetch it."
            yield _PAYLOAD.failure(f"{ring}, key {one['version']}", f"{one['fault']} ({one['state']})", remedy)
        if all(one["fault"] is None for one in of_ring):
            versions = ", ".join(f"{one['version']} {one['state']}" for one in of_ring)
            yield _PAYLOAD.ok(ring, f"each key encrypts and decrypts: {versions}")


def _rings(examined: Examined) -> Iterator[Finding]:
    yield from ring_findings(examined.proxy.ask("/payload-test")["keys"])


PAYLOAD_RINGS: Final = (Checkup("payload keys", Area.TOKENS, _rings),)
