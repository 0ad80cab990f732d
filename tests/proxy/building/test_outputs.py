"""What is written is never also read, nor written by two."""

import os
import socket
from pathlib import Path

import pytest

from config.loading.loader import load
from proxy.building.outputs import output_problems
from tests.configurations import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


def found(site: Site, text: str) -> list[str]:
    problems = list(output_problems(load(site.write(site.minimal + text))))
    assert all(one.is_error for one in problems)
    return [f"{one.key}: {one.found.partition(', which is also ')[2]}" for one in problems]


def config_name(site: Site) -> str:
    return site.write(site.minimal).name


@pytest.mark.parametrize("key", ["log", "audit"])
def test_a_log_is_never_the_configuration_a_key_or_a_program(site: Site, key: str) -> None:
    assert found(site, f'[{key}]\nfile = "{config_name(site)}"\n') == [f"{key}.file: this configuration"]
    assert found(site, f'[{key}]\nfile = "{site.chat.key}"\n') == [f"{key}.file: identity.chat.key"]
    (site.directory / "deep").mkdir()
    (link := site.directory / "deep" / "link").symlink_to(site.chat.certificate)
    assert found(site, f'[{key}]\nfile = "{link}"\n') == [f"{key}.file: identity.chat.certificate"]
    os.link(site.chat.key, hard := site.directory / "deep" / "hard")
    assert found(site, f'[{key}]\nfile = "{hard}"\n') == [f"{key}.file: identity.chat.key"]
    (program := site.directory / "page").write_text("#!/bin/sh\n")
    program.chmod(0o755)
    alerts = f'[alerts]\ncommand = ["{program}"]\n[{key}]\nfile = "deep/../page"\n'
    assert found(site, alerts) == [f"{key}.file: the program of alerts.command"]


def test_two_outputs_are_two_files_also_before_they_are_there(site: Site) -> None:
    (site.directory / "real").mkdir()
    (site.directory / "link").symlink_to("real")
    audit = '[audit]\nfile = "real/audit.jsonl"\n'
    for name in ("real/audit.jsonl", "link/audit.jsonl"):
        assert found(site, f'{audit}[log]\nfile = "{name}"\n') == ["log.file: audit.file"]
    lock = ["log.file: the lock of audit.file"]
    assert found(site, f'{audit}[log]\nfile = "link/audit.jsonl.lock"\n') == lock
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(site.directory / "admin.sock"))
    admin = f'[admin]\nsocket = "admin.sock"\npage_socket = "{site.directory}/admin.sock"\n'
    assert len(found(site, admin)) == 1
    assert found(site, f'{audit}[log]\nfile = "link/other"\n') == []


def test_what_is_no_file_may_be_shared(site: Site) -> None:
    assert found(site, '[log]\nfile = "/dev/null"\n[admin]\nsocket = "/dev/null"\n') == []


def test_a_log_is_no_file_of_the_state(site: Site) -> None:
    state = '[rotation]\nstate = "state"\n'
    for below in ("credentials/chat/ec/v000001", "logs"):
        (site.directory / "state" / below).mkdir(parents=True)
    for name in ("lock", "owner", "sealing.key", "adoption.json", "credentials/chat/ec/v000001/key"):
        assert found(site, f'{state}[log]\nfile = "state/{name}"\n') == ["log.file: a file of rotation.state"]
    for name in ("access.log", "audit.jsonl", "logs/owner"):
        assert found(site, f'{state}[log]\nfile = "state/{name}"\n') == []


def test_a_path_that_leads_nowhere_is_left_to_others(site: Site) -> None:
    for path in ("x" * 300, f"{'x' * 300}/y"):
        assert found(site, f'[admin]\nsocket = "{path}"\n') == []
