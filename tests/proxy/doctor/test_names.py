"""Names that lead elsewhere, or nowhere, are told."""

import socket
import threading
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from config.values.addresses import IPAddress
from proxy.doctor import names
from proxy.doctor.finding import Finding
from proxy.doctor.names import NAMES, asked_names, is_of_this_machine, name_findings, resolved
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOTHING, configured, states

OURS, THEIRS = ip_address("192.0.2.1"), ip_address("2001:db8::1")
KNOWN: dict[str, Sequence[IPAddress]] = {"here": [OURS], "there": [THEIRS], "both": [OURS, THEIRS]}


def resolve(name: str) -> Sequence[IPAddress]:
    if name == "late":
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    try:
        return KNOWN[name]
    except KeyError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None


def found(*asked: str) -> list[Finding]:
    return list(name_findings(asked, resolve, lambda address: address == OURS))


@pytest.mark.parametrize(
    ("name", "state", "text"),
    [
        ("here", "ok", "192.0.2.1, of this machine"),
        ("there", "warning", "it points to 2001:db8::1"),
        ("both", "warning", "it also points to 2001:db8::1"),
        ("gone", "warning", "knows no address"),
        ("late", "unknown", "cannot answer now"),
        ("*.chat.test", "skipped", "a wildcard"),
    ],
)
def test_name(name: str, state: str, text: str) -> None:
    (finding,) = found(name)
    assert (finding.subject, finding.state) == (name, state)
    assert text in finding.found


def test_name_elsewhere_is_right_behind_nat() -> None:
    (finding,) = found("there")
    assert "Behind NAT" in finding.remedy


def test_resolver_that_hangs_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_SECONDS", 0.05)
    never = threading.Event()

    def hang(_: str) -> Sequence[IPAddress]:
        never.wait()
        return []

    try:
        (finding,) = name_findings(["x"], hang, lambda _: True)
    finally:
        never.set()
    assert (finding.state, "0.05 s" in finding.found) == ("unknown", True)


def test_addresses_of_this_machine_are_known() -> None:
    assert ip_address("127.0.0.1") in resolved("localhost")
    assert is_of_this_machine(ip_address("127.0.0.1"))
    assert not is_of_this_machine(OURS)


def test_each_dns_name_is_asked_for_once(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    text = site.minimal.replace('"*.chat.test"', '"localhost", "192.0.2.7"')
    loaded = configured(site.write(text))
    assert asked_names(loaded.config) == ["chat.test", "localhost"]
    (checkup,) = NAMES
    assert ("localhost", "ok") in states(checkup.look(replace(NOTHING, configured=loaded)))
