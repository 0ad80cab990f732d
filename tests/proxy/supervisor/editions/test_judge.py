"""One judge: a start and a reload say what a check says."""

from dataclasses import replace
from pathlib import Path

import pytest

from certs.hierarchy.configured import KEY_LABEL
from certs.sealing.envelope import Purpose
from certs.sealing.key_file import create_key
from config.loading.loader import load, survey
from config.values.problems import ConfigError, Problem
from proxy.commands.check import check
from proxy.supervisor.editions.edition import read_edition
from proxy.supervisor.editions.facts import gathered
from proxy.supervisor.editions.judge import judge
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.ports import lasting_port
from tests.workforces import NOW, edition_of


def told(problems: tuple[Problem, ...]) -> list[str]:
    """The keys of problems, without what root is told."""
    return [one.key for one in problems if one.key != "user"]


def test_what_a_check_warns_of_a_start_warns_of_too(site: Site) -> None:
    port = lasting_port()
    text = f'[listener.public]\nbind = "127.0.0.1:{port}"\n' + site.identity
    text += MINIMAL_REST.replace("127.0.0.1:1", f"127.0.0.1:{port}") + '[payload]\ndirectory = "rings"\n'
    edition = edition_of(site, text + '[payload.ring.chat]\n[alerts]\ncommand = ["no-such-program"]\n')
    found = check(edition.loaded.file.path)
    assert set(told(tuple(edition.warnings))) == set(told(found))
    assert set(told(found)) == {
        "payload.ring.chat",
        "payload.directory",
        "upstream.chat.servers[0]",
        "alerts.command[0]",
    }


def test_a_fault_is_told_once_and_what_follows_from_it_is_not(site: Site) -> None:
    text = 'user = "nobody-of-that-name"\nworkers = 0\n' + site.minimal.replace(str(site.chat.key), "missing.key")
    loaded = survey(site.write(text)).loaded
    assert loaded is not None
    tried = Problem(str(loaded.file.path), "workers", "what follows", "y")
    facts = replace(gathered(loaded, NOW, lambda: None), tried=(tried, tried))
    judged = judge(loaded, facts)
    assert [one.key for one in judged.problems] == ["workers", "identity.chat.key", "user"]
    assert not judged.is_usable
    with pytest.raises(ConfigError) as caught:
        judged.accepted()
    assert caught.value.problems == judged.problems


def test_of_a_sealing_key_that_does_not_open_nothing_that_follows_is_told(site: Site, tmp_path: Path) -> None:
    tables = f"""
[[identity.chat.credential]]
certificate = "{site.chat.certificate}"
key = "chat.sealed"
[[identity.chat.credential]]
key = "mldsa-65@sealed"
issuer = "internal"
[issuer.internal]
type = "internal"
[rotation]
state = "{tmp_path}/state"
[sealing]
key = "{tmp_path}/sealing.key"
directory = "{tmp_path}/sealed"
[payload]
directory = "{tmp_path}/rings"
[payload.ring.chat]
"""
    identity = '[identity.chat]\nnames = ["chat.test"]\n'
    path = site.write(MINIMAL_LISTENER + MINIMAL_REST + identity + tables)
    create_key(tmp_path / "sealing.key")
    safe = Safe(now_in_utc)
    loaded = load(path)
    vault = safe.vault(loaded)
    assert vault is not None
    pem = site.chat.key.read_bytes()
    (site.directory / "chat.sealed").write_bytes(vault.sealer(Purpose.CREDENTIAL_KEY).seal(pem, KEY_LABEL))
    read_edition(path, 1, safe.tickets(loaded)[0], NOW, safe)
    before = {one.key for one in check(path)}
    assert {"payload.ring.chat", "identity.chat.credential[1]"} <= before
    (tmp_path / "sealing.key").unlink()
    create_key(tmp_path / "sealing.key")
    found = check(path)
    assert [one.key for one in found if one.is_error] == ["sealing.key"]
    assert set(told(found)) == {"payload.ring.chat", "sealing.key"}


def test_a_key_that_does_not_open_is_no_bad_key_too(site: Site) -> None:
    loaded = load(site.write(site.minimal.replace(str(site.chat.key), "missing.key")))
    facts = gathered(loaded, NOW, lambda: None)
    (missing,) = facts.credentials.problems
    sealed = replace(missing, found="a key that does not open")
    assert [one.found for one in judge(loaded, replace(facts, found=(sealed,))).problems if one.is_error] == [
        sealed.found
    ]


def test_what_can_be_used_is_accepted_with_its_warnings(site: Site) -> None:
    loaded = load(site.write(site.minimal))
    judged = judge(loaded, gathered(loaded, NOW, lambda: None))
    assert judged.accepted() is judged
