"""Each address: bound by us, by another program, or free."""

import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from config.values.addresses import Bind, parse_bind
from proxy.doctor.machine import ports
from proxy.doctor.machine.ports import PORTS, PortHolder, holders, port_finding, running_binds
from tests.configurations import Site
from tests.ports import lasting_port
from tests.proxy.doctor.checkups import NOTHING, answering, configured, states


@pytest.fixture
def taken() -> Iterator[Bind]:
    """An address on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield parse_bind(f"127.0.0.1:{listening.getsockname()[1]}")


def free() -> Bind:
    return parse_bind(f"127.0.0.1:{lasting_port()}")


def test_address_of_the_running_proxy(taken: Bind) -> None:
    assert port_finding("listener.public.bind", taken, frozenset({taken})).state == "ok"
    every = parse_bind(f"0.0.0.0:{taken.port}")
    assert port_finding("listener.public.bind", taken, frozenset({every})).state == "ok"


def test_address_of_another_program_names_it(taken: Bind) -> None:
    finding = port_finding("listener.public.bind", taken, None)
    assert finding.state == "failure"
    assert f"(process {os.getpid()}) listens there" in finding.found
    assert "the running proxy does not have it" in port_finding("x", taken, frozenset()).found


def test_port_whose_program_is_hidden_may_be_that_of_the_proxy(taken: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "holders", lambda *_: [PortHolder(None)])
    finding = port_finding("x", taken, None)
    assert (finding.state, "as root" in finding.remedy) == ("unknown", True)
    assert port_finding("x", taken, frozenset()).state == "failure", "the running proxy does not have it"


def test_port_of_a_proxy_that_does_not_answer(taken: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "holders", lambda *_: [PortHolder("plexigate", 7), PortHolder("python3", 8)])
    finding = port_finding("x", taken, None)
    assert (finding.state, "--socket" in finding.remedy) == ("warning", True)
    assert port_finding("x", taken, frozenset()).state == "failure", "another proxy has it than the running one"


def test_free_address_is_right_only_when_nothing_runs() -> None:
    bind = free()
    assert port_finding("x", bind, None).state == "ok"
    assert port_finding("x", bind, frozenset()).state == "warning"


def test_address_of_another_machine_is_a_failure() -> None:
    assert port_finding("x", parse_bind("192.0.2.1:443"), None).state == "failure"


def test_privileged_port_without_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Bind) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(ports, "bound_socket", refused)
    finding = port_finding("x", parse_bind("127.0.0.1:443"), None)
    assert (finding.state, "CAP_NET_BIND_SERVICE" in finding.remedy) == ("warning", True)


def test_program_that_this_user_may_not_see(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    line = "  0: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000  33  0 77 1 0 100 0 0 10 0\n"
    (tmp_path / "net/tcp").write_text(f"  sl  local_address\n{line}")
    assert holders(443, tmp_path) == [PortHolder(None)]
    assert str(PortHolder(None)) == "a program that this user may not see"
    assert holders(444, tmp_path) == []
    (tmp_path / "10/fd").mkdir(parents=True)
    (tmp_path / "10/fd/3").symlink_to("socket:[77]")
    (tmp_path / "11").mkdir()
    assert holders(443, tmp_path) == [PortHolder(None)]
    (tmp_path / "10/comm").write_text("nginx\n")
    assert [str(one) for one in holders(443, tmp_path)] == ["nginx (process 10)"]


def test_addresses_of_a_status() -> None:
    status = {"listeners": [{"addresses": ["127.0.0.1:443", "none"]}], "metrics": ["[::1]:9464"]}
    assert {str(one) for one in running_binds(status)} == {"127.0.0.1:443", "[::1]:9464"}


def test_check_looks_at_each_address(tmp_path: Path, taken: Bind) -> None:
    site = Site.make(tmp_path)
    text = site.minimal.replace("127.0.0.1:0", str(taken)) + '[admin]\nmetrics_bind = "127.0.0.1:0"\n'
    text = text.replace("admin.socket", "# admin.socket")
    examined = replace(NOTHING, configured=configured(site.write(text)))
    (checkup,) = PORTS
    assert [state for _, state in states(checkup.look(examined))] == ["failure", "skipped"]
    running = answering({"listeners": [{"addresses": [str(taken)]}]})
    assert [state for _, state in states(checkup.look(replace(examined, running=running)))] == ["ok", "skipped"]
