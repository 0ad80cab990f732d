"""HTTP/3: whether it can be served here, whether it answers by UDP, and what to publish in DNS."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.schema import Config
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.handshakes.visits import addresses_by_listener
from proxy.doctor.machine.processes import PROC
from proxy.quic.availability import unavailable
from proxy.quic.datagrams import RECEIVE_BYTES
from proxy.quic.doors import Http3Door, http3_doors, https_records
from proxy.quic.probing import QuicProbe, probe

_HTTP3: Final = Judge("http3")
_SECONDS: Final = 30.0
_SHOWN_RECORDS: Final = 3


@dataclass(frozen=True, slots=True)
class Http3Sources:
    """What a look depends on beside the configuration."""

    reason: Callable[[], str | None] = unavailable
    """Why HTTP/3 cannot be served by this installation."""
    probe: QuicProbe = probe
    sysctl: Path = PROC / "sys"


def http3_findings(examined: Examined, around: Http3Sources) -> Iterator[Finding]:
    """Judge each listener with `http3`, and what all of them need."""
    config = examined.loaded.config
    wanting = [name for name, one in config.listener.items() if one.http3]
    if not wanting:
        return
    reason = around.reason()
    if reason is not None:
        yield _HTTP3.failure("libraries", reason, "Install it, or set http3 = false: clients use HTTP/2 meanwhile.")
        return
    yield _HTTP3.ok("libraries", "all that HTTP/3 needs is installed")
    yield buffer_finding(around.sysctl)
    doors = http3_doors(config, addresses_by_listener(examined.status))
    for name in wanting:
        if name not in doors:
            yield _HTTP3.skipped(name, "its addresses are not known without the running proxy")
            continue
        yield _handshake(examined, name, doors[name], around.probe)
        yield _records(config, name, doors[name].port)


def _handshake(examined: Examined, name: str, door: Http3Door, probe: QuicProbe) -> Finding:
    async def shaken() -> str | None:
        return await probe(door.address, door.name)

    host, port = door.address
    subject = f"{name} {host} UDP {port}"
    fault = asyncio.run(shaken())
    if fault is not None:
        remedy = f"Let UDP port {port} through on this machine, and see the log of the proxy for http3_not_offered."
        return _HTTP3.failure(subject, fault, remedy)
    if _is_untold(examined, name):
        found = "it answers, and the answers of the running proxy do not offer it yet"
        return _HTTP3.warning(subject, found, "Wait half a minute: the proxy tries again by itself.")
    found = f"a handshake by UDP succeeds; clients reach it at UDP port {door.port} if all firewalls let it through"
    return _HTTP3.ok(subject, found)


def _is_untold(examined: Examined, name: str) -> bool:
    listeners = () if examined.status is None else examined.status["listeners"]
    told = next((one["http3"] for one in listeners if one["name"] == name), None)
    return told is not None and told["fault"] is not None


def _records(config: Config, name: str, port: int) -> Finding:
    records = https_records(config, name, port)
    more = f" (and {len(records) - _SHOWN_RECORDS} more names)" if len(records) > _SHOWN_RECORDS else ""
    if not records:
        return _HTTP3.skipped(f"{name} DNS", "no identity has a name of which a record could be published")
    shown = "; ".join(records[:_SHOWN_RECORDS])
    return _HTTP3.ok(f"{name} DNS", f"publish, so that browsers begin with HTTP/3: {shown}{more}")


def buffer_finding(sysctl: Path) -> Finding:
    """Judge how large the kernel lets the buffer of a UDP socket be."""
    setting = "net.core.rmem_max"
    try:
        most = int((sysctl / "net/core/rmem_max").read_text())
    except (OSError, ValueError):
        return _HTTP3.unknown(setting, "cannot be read here")
    if most < RECEIVE_BYTES:
        found = f"{most} bytes: a burst of packets beyond it is lost, and sent again"
        return _HTTP3.warning(setting, found, f"sysctl -w {setting}={RECEIVE_BYTES}; restart.")
    return _HTTP3.ok(setting, f"{most} bytes")


def _look(examined: Examined) -> Iterator[Finding]:
    yield from http3_findings(examined, Http3Sources())


HTTP3: Final = (Checkup("http3", Area.HANDSHAKES, _look, _SECONDS),)
