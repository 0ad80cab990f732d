"""`plexigate doctor readiness`: where it says what, and with which status it ends."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.loading.loader import load
from proxy.observe.adoption import Adoption, ListenerDay, Offer
from proxy.observe.adoption_store import AdoptionStore
from tests.configurations import Site
from tests.proxy.commands.test_cli import plexigate


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = Site.make(tmp_path_factory.mktemp("site"))
    return site.write(site.minimal + '[rotation]\nstate = "state"\n')


def kept(file: Path, groups: str) -> None:
    """A file with some handshakes of today."""
    today = datetime.now(UTC).date().isoformat()  # noqa: TID251 - the command reads the clock
    adoption = Adoption(
        {today: {"public": ListenerDay({"chat": {"hybrid": 3, "client_cannot": 1}})}},
        {"public": Offer("prefer", groups)},
    )
    AdoptionStore.of(load(file)).write(adoption.document(0.0, "test"))


def test_report_of_a_kept_file(file: Path, tmp_path: Path) -> None:
    kept(file, "X25519MLKEM768 / X25519")
    result = plexigate("doctor", "readiness", str(file), "--socket", str(tmp_path / "gone"))
    assert result.exit_code == 1
    assert 'pq = "require": unknown' in result.stdout
    assert "25.00% of the handshakes of the last 7 days would be refused (1 of 4)" in result.stdout


def test_listener_in_the_last_phase_ends_with_0(file: Path, tmp_path: Path) -> None:
    kept(file, "X25519MLKEM768")
    result = plexigate("doctor", "readiness", str(file), "--socket", str(tmp_path / "gone"), "--json", "--days", "7")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ready"], report["listeners"][0]["phase"]) == (0, True, "classical retired")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["gone.toml"], "No such file"), (["--socket", "gone"], "plexigate doctor readiness FILE")],
)
def test_nothing_to_read_ends_with_2(arguments: list[str], says: str) -> None:
    result = plexigate("doctor", "readiness", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
