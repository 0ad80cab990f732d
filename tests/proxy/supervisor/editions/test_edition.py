"""One reading of a configuration, on its way to the workers and back as problems."""

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import MOST_WORKERS
from config.values.problems import ConfigError
from proxy.commands.check import check
from proxy.processes.messages.codec import decode, encode
from proxy.processes.messages.questions import Prepare
from proxy.processes.privileges import ProcessAccount
from proxy.supervisor.editions.edition import read_edition, reread_edition
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from proxy.tls.openssl.tickets import TicketSecrets
from tests.accounts import AS_SOMEBODY_ELSE
from tests.configurations import Site
from tests.workforces import NOW, SECRETS, edition_of

ROTATED = SECRETS.rotated(b"\x01" * 32)


class TestReading:
    def test_has_all_that_is_served_by(self, site: Site) -> None:
        edition = edition_of(site, "workers = 3\n" + site.minimal, 7)
        assert (edition.number, edition.worker_count, edition.read_at) == (7, 3, NOW)
        assert {path: one.content for path, one in edition.material.items()} == {
            str(site.chat.certificate): site.chat.certificate.read_bytes(),
            str(site.chat.key): site.chat.key.read_bytes(),
        }
        assert {name: [str(bind) for bind in binds] for name, binds in edition.binds.items()} == {
            "public": ["127.0.0.1:0"]
        }

    def test_one_worker_for_each_core_and_not_too_many(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        edition = edition_of(site, 'workers = "auto"\n' + site.minimal)
        assert edition.worker_count == min(len(os.sched_getaffinity(0)), MOST_WORKERS)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(1_000)))
        assert edition.worker_count == MOST_WORKERS

    def test_every_problem_is_raised(self, site: Site) -> None:
        text = 'user = "nobody-of-that-name"\n' + site.minimal.replace(str(site.chat.key), "missing.key")
        with pytest.raises(ConfigError) as caught:
            edition_of(site, text)
        assert [problem.key for problem in caught.value.problems] == ["identity.chat.key", "user"]

    def test_faults_of_the_file_and_of_what_it_names_are_raised_together(self, site: Site) -> None:
        text = (
            "mistake = 1\n"
            + site.minimal.replace(str(site.chat.certificate), "no.pem")
            + '[alerts]\ncommand = ["/missing"]\n'
        )
        path = site.write(text)
        (path.parent / "no.pem").write_text("no PEM")
        with pytest.raises(ConfigError) as caught:
            read_edition(path, 1, SECRETS, NOW)
        found = {problem.key for problem in caught.value.problems}
        assert {"mistake", "identity.chat.certificate", "alerts.command[0]"} <= found
        assert found <= {problem.key for problem in check(path)}

    def test_nothing_is_opened_where_the_tables_of_secrets_have_faults(self, site: Site) -> None:
        path = site.write(site.minimal + '[sealing]\nkey = "sealing.key"\nmistake = 1\n')
        with pytest.raises(ConfigError) as caught:
            read_edition(path, 1, SECRETS, NOW, Safe(now_in_utc))
        assert [problem.key for problem in caught.value.problems if problem.is_error] == ["sealing.mistake"]

    def test_certificate_that_is_expired_is_a_problem_now(self, site: Site) -> None:
        with pytest.raises(ConfigError, match="expired"):
            read_edition(site.write(site.minimal), 1, SECRETS, NOW + timedelta(days=1_000))

    def test_a_reload_refuses_rings_that_the_next_start_could_not_read(self, site: Site) -> None:
        path = site.write(site.minimal + '[payload]\ndirectory = "rings"\n[payload.ring.chat]\n')
        served = read_edition(path, 1, SECRETS, NOW).payload.rings
        assert read_edition(path, 2, SECRETS, NOW, rings=served).payload.rings == served
        (path.parent / "rings" / "ring-chat.sealed").write_bytes(b"damaged")
        for known in (None, served):
            with pytest.raises(ConfigError, match=r"payload\.directory"):
                read_edition(path, 2, SECRETS, NOW, rings=known)

    def test_no_secret_is_shown(self, site: Site) -> None:
        secret = b"\x5a" * 32
        edition = edition_of(site, site.minimal).with_tickets(2, TicketSecrets(secret))
        for leak in ("PRIVATE", repr(secret), secret.hex()):
            assert leak not in repr(edition)


class TestQuestion:
    @pytest.mark.parametrize("tickets", [SECRETS, ROTATED])
    def test_travels_as_json(self, site: Site, tickets: TicketSecrets) -> None:
        edition = edition_of(site, site.minimal).with_tickets(2, tickets)
        there = decode(Prepare, json.loads(json.dumps(encode(edition.question()))))
        assert there.tickets == tickets
        assert (there.number, there.read_at) == (2, NOW)
        loaded = LoadedConfig.of_document(there.document, ConfigFile(Path(there.path)))
        assert loaded.config == edition.loaded.config

    def test_rotation_keeps_everything_else(self, site: Site) -> None:
        before = edition_of(site, site.minimal)
        after = before.with_tickets(2, ROTATED)
        assert after.tickets is ROTATED
        for name in ("content", "loaded", "material", "account", "warnings", "read_at"):
            assert getattr(after, name) is getattr(before, name)


@AS_SOMEBODY_ELSE
def test_account_is_that_of_the_file(site: Site) -> None:
    account = edition_of(site, 'user = "nobody"\n' + site.minimal).account
    assert isinstance(account, ProcessAccount)
    assert account.name == "nobody"


@pytest.mark.skipif(os.geteuid() != 0, reason="run as root: only root can do without a user")
async def test_root_is_told_to_name_a_user_at_the_start_and_not_at_each_reload(site: Site) -> None:
    file, safe = site.write(site.minimal), Safe(now_in_utc)
    first = read_edition(file, 1, TicketSecrets.fresh(), now_in_utc(), safe)
    assert [problem.key for problem in first.warnings] == ["user"]
    loop = asyncio.get_running_loop()
    assert (await reread_edition(loop, first, 2, safe, lambda: None)).warnings == []
    site.write(site.minimal.replace(str(site.chat.key), "missing.key"))
    with pytest.raises(ConfigError) as caught:
        await reread_edition(loop, first, 3, safe, lambda: None)
    assert [problem.key for problem in caught.value.problems] == ["identity.chat.key"]


def test_what_cannot_be_written_is_refused_before_anything_is_made(site: Site) -> None:
    text = site.minimal + '[rotation]\nstate = "chat.pem/state"\n'
    with pytest.raises(ConfigError) as caught:
        read_edition(site.write(text), 1, TicketSecrets.fresh(), now_in_utc(), Safe(now_in_utc))
    assert "rotation.state" in {problem.key for problem in caught.value.problems}
