"""What a configuration is judged by: gathered once, and every obstacle is told."""

from pathlib import Path

import pytest

from certs.hierarchy.vault import Vault
from certs.sealing.key_file import create_key
from config.loading.loader import load
from config.values.problems import ConfigError, Problem
from proxy.supervisor.editions.edition import read_edition
from proxy.supervisor.editions.facts import gathered, refusals_in
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from tests.configurations import Site
from tests.workforces import NOW


def problem(key: str, found: str = "x") -> Problem:
    """An error of a key."""
    return Problem("p.toml", key, found, "y")


def test_a_refusal_is_added_unless_its_key_has_an_error_already() -> None:
    problems = [problem("sealing.key", "no PIN")]
    with refusals_in(problems):
        raise ConfigError([problem("sealing.key", "what follows"), problem("user")])
    assert [(one.key, one.found) for one in problems] == [("sealing.key", "no PIN"), ("user", "x")]


def test_a_vault_that_does_not_open_hides_nothing_else(site: Site) -> None:
    def no_vault() -> Vault | None:
        raise ConfigError([problem("sealing.key", "no PIN")])

    facts = gathered(load(site.write(site.minimal)), NOW, no_vault)
    assert [one.found for one in facts.found] == ["no PIN"]
    assert facts.credentials.identities.keys() == {"chat"}
    assert facts.made == {}


def test_without_secrets_no_vault_is_asked_for(site: Site) -> None:
    def nobody() -> Vault | None:
        pytest.fail("a token may be asked")

    assert gathered(load(site.write(site.minimal)), NOW, nobody, with_secrets=False).found == ()


def test_it_is_read_from_where_the_content_is_and_shows_no_key(site: Site) -> None:
    loaded = load(site.write(site.minimal))
    facts = gathered(loaded, NOW, lambda: None)
    (one,) = facts.credentials.identities["chat"]
    assert one.certificate_path == Path(site.chat.certificate)
    assert "PRIVATE" not in repr(facts)


def test_a_sealing_key_that_opens_nothing_refuses_a_start_and_a_reload(site: Site, tmp_path: Path) -> None:
    table = f'[sealing]\nkey = "{tmp_path}/sealing.key"\ndirectory = "{tmp_path}/sealed"\n'
    path = site.write(site.minimal + table, "sealed.toml")
    create_key(tmp_path / "sealing.key")
    safe = Safe(now_in_utc)
    served = read_edition(path, 1, safe.tickets(load(path))[0], NOW, safe)
    (tmp_path / "sealing.key").unlink()
    assert read_edition(path, 2, served.tickets, NOW, safe).number == 2, "it was proved before"
    create_key(tmp_path / "sealing.key")
    with pytest.raises(ConfigError) as refused:
        read_edition(path, 3, served.tickets, NOW, Safe(now_in_utc))
    (error,) = (one for one in refused.value.problems if one.is_error)
    assert error.key == "sealing.key"
    assert "plexigate hsm recover" in error.allowed
