"""Descriptors and settings of the kernel that are too small are found."""

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.doctor.finding import Finding
from proxy.doctor.machine.kernel import (
    KERNEL,
    Descriptors,
    file_findings,
    kernel_findings,
    needed_descriptors,
    port_findings,
)
from proxy.doctor.machine.processes import RunningProcess
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOTHING, answering, configured, states

NEEDED = Descriptors(connections=20_000, upstream=512, reserve=256, workers=2)
WORKER = RunningProcess("worker 0", 11, 33, (33,), 65_536, 40)


def files(*processes: RunningProcess, own: int | None = 1_024, needed: Descriptors | None = NEEDED) -> list[Finding]:
    return list(file_findings(list(processes), needed, own))


def test_each_worker_needs_its_part_and_the_reserve(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    file = site.write(f"{site.minimal}[limits]\nconnections = 1000\ndescriptor_reserve = 10\n")
    needed = needed_descriptors(configured(file).config)
    assert (needed, needed.each) == (Descriptors(1_000, 256, 10, 1), 1_266)


@pytest.mark.parametrize(
    ("process", "state"),
    [
        (WORKER, "ok"),
        (replace(WORKER, most_files=None), "ok"),
        (replace(WORKER, most_files=10_000, open_files=None), "warning"),
        (replace(WORKER, most_files=10_000, open_files=9_000), "failure"),
        (replace(WORKER, most_files=1_024, name="the parent"), "ok"),
    ],
)
def test_limit_of_a_running_process(process: RunningProcess, state: str) -> None:
    assert states(files(process)) == [(process.name, state)]


@pytest.mark.parametrize(("own", "state"), [(1_024, "warning"), (65_536, "ok"), (None, "ok")])
def test_without_processes_the_limit_of_the_shell_counts(own: int | None, state: str) -> None:
    assert states(files(own=own)) == [("this shell", state)]


def test_without_configuration_nothing_is_too_little() -> None:
    assert states(files(needed=None)) == [("this shell", "ok")]
    assert states(files(replace(WORKER, most_files=64), needed=None)) == [("worker 0", "ok")]


def sysctl(place: Path, most: str = "4096", ports: str = "32768 60999", reserved: str = "") -> Path:
    (place / "net/core").mkdir(parents=True)
    (place / "net/ipv4").mkdir()
    (place / "net/core/somaxconn").write_text(f"{most}\n")
    (place / "net/ipv4/ip_local_port_range").write_text(f"{ports}\n")
    (place / "net/ipv4/ip_local_reserved_ports").write_text(f"{reserved}\n")
    return place


def test_settings_that_are_large_enough(tmp_path: Path) -> None:
    assert {state for _, state in states(kernel_findings(sysctl(tmp_path)))} == {"ok"}


def test_settings_that_are_too_small_have_their_command(tmp_path: Path) -> None:
    backlog, ports = kernel_findings(sysctl(tmp_path, "128", "50000 50099"))
    assert (backlog.state, ports.state) == ("warning", "warning")
    assert "sysctl -w net.core.somaxconn=4096" in backlog.remedy
    assert "100 connections" in ports.found


def test_settings_that_cannot_be_read_are_unknown(tmp_path: Path) -> None:
    assert {state for _, state in states(kernel_findings(tmp_path))} == {"unknown"}
    site = Site.make(tmp_path)
    assert list(port_findings(configured(site.write(site.minimal)).config, tmp_path)) == []


@pytest.mark.parametrize(("reserved", "count"), [("", 1), ("40443", 0), ("40000-41000,50000", 0), ("50000", 1)])
def test_port_among_those_of_outgoing_connections(tmp_path: Path, reserved: str, count: int) -> None:
    site = Site.make(tmp_path)
    file = site.write(site.minimal.replace("127.0.0.1:0", "127.0.0.1:40443"))
    findings = list(port_findings(configured(file).config, sysctl(tmp_path / "sys", reserved=reserved)))
    assert states(findings) == [("port 40443", "warning")] * count


def test_checks_look_at_this_machine(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    examined = replace(NOTHING, configured=configured(site.write(site.minimal)))
    found = {name: states(one.look(examined)) for one in KERNEL if (name := one.name)}
    assert [subject for subject, _ in found["file descriptors"]] == ["this shell"]
    assert ("net.core.somaxconn", "unknown") not in found["kernel settings"]


def test_processes_that_are_not_visible_are_unknown() -> None:
    gone = answering({"pid": 2**22 + 1, "workers": []})
    (checkup, _) = KERNEL
    assert states(checkup.look(replace(NOTHING, running=gone))) == [("the running proxy", "unknown")]
