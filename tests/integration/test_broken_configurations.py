"""The example configuration, broken in every key and in every way: `check` names the key, and never falls.

A check is the same as long as what could be read of a file is: of mutations that leave the same, one goes all the way.
`./dev soak configurations` tries all ways in all places; here each place has its share of them.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from certs.audit.configured import audit_log_of
from certs.audit.journal import SyslogJournal
from config.loading.loaded import ConfigFile, LoadedConfig
from config.loading.loader import Survey, survey
from config.schema import Config
from config.values.problems import ConfigError, Location, Problem, toml_key
from proxy.admin.listening import AdminSocketError, metrics_socket
from proxy.commands import check as checking
from proxy.supervisor.editions.edition import read_edition
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from proxy.supervisor.workers.sockets import BindFailed, ListeningSockets, addresses_of
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.tokens.openssl_setup import prepare_openssl
from proxy.worker.generation import build
from tests.broken_documents import A_DATE, Broken, Document, World, as_toml, broken, keys_of, with_dates
from tests.example_document import MODELS

if TYPE_CHECKING:
    from config.values.omissions import Omissions

pytestmark = pytest.mark.timeout(600)  # it computes only, and beside programs it has what they leave

TABLES = {
    "files": (
        *("workers", "user", "group", "watch", "reload_timeout", "listener", "identity", "upstream", "route", "issuer"),
        *("plain", "rotation", "sealing", "audit", "openssl", "limits", "payload", "log", "admin", "alerts"),
        *("error_pages", "ct", "backup", "fleet"),
    ),
    "tokens": ("hsm", "identity", "sealing", "audit", "alerts"),
}
ONE_IN = 48
DATES_TOGETHER = 8
"""A date is refused wherever it stands, without a look at the others: so many are tried in one document."""
STARTS_ONE_IN = 6
# What may be any text, or is made where it is not there.
FREE = {
    "issuer.internal.root_key",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def test_every_key_of_the_schema_is_broken(world: World) -> None:
    documents = world.documents()
    for name, document in documents.items():
        assert set(TABLES[name]) <= set(document)
    broken_keys = {key for document in documents.values() for key in keys_of(document)}
    assert set(map(Config.key_of, Config.model_fields)) == {table for tables in TABLES.values() for table in tables}
    assert {(model, model.key_of(name)) for model in MODELS for name in model.model_fields} - broken_keys == set()


@pytest.mark.parametrize(("document", "table"), [(name, table) for name, tables in TABLES.items() for table in tables])
def test_a_broken_key_is_named_and_nothing_falls(world: World, document: str, table: str) -> None:
    break_table(world, document, table, ONE_IN, STARTS_ONE_IN)


def break_table(world: World, document: str, table: str, one_in: int = 1, starts_one_in: int = 1) -> None:
    """Break all keys of a table; start by one in `starts_one_in` of those that differ."""
    trial = Trial(world.directory / f"{document}-{table}.toml", starts_one_in)
    unbroken = world.documents()[document]
    trial.file.write_text(as_toml(unbroken))
    before = {(problem.key, problem.found) for problem in checking.check(trial.file) if problem.is_error}
    assert {key for key, _ in before} == ({"hsm.module"} if document == "tokens" else set())
    refused: dict[str, bool] = defaultdict(bool)
    faults = [one for one in broken(unbroken, world, one_in) if one.place[0] == table]
    dates = [one for one in faults if one.how == A_DATE and one.is_leaf] if one_in > 1 else []
    count = -(-len(dates) // DATES_TOGETHER)
    for together in (dates[number::count] for number in range(count)):
        for one in trial.refused(with_dates(unbroken, together), together):
            faults.remove(one)
            trial.dates.add(one.place)
            refused[toml_key(one.place)] = True
    for one in faults:
        problems = trial.problems(one, before)
        errors = [problem for problem in problems if problem.is_error]
        refused[toml_key(one.place)] |= bool(errors)
        assert not errors or any(names(problem, one) for problem in errors), (one.place, one.how, errors)
        for problem in problems:
            assert problem.line is not None, problem
    assert {key for key, is_refused in refused.items() if not is_refused} <= FREE


class Trial:
    """Checks of one file."""

    def __init__(self, file: Path, starts_one_in: int) -> None:
        self.file = file
        self._starts_one_in = starts_one_in
        self._is_of_tokens = file.name.startswith("tokens")
        self._seen: dict[tuple[str, Omissions], tuple[Problem, ...]] = {}
        self.dates: set[Location] = set()
        """Where a date was refused: what is left without such a key was checked."""

    def problems(self, one: Broken, before: set[tuple[str, str]]) -> list[Problem]:
        """What is wrong by this fault."""
        self.file.write_text(as_toml(one.document))
        found = survey(self.file)
        problems = found.problems if found.loaded is None else self._checked(one, found)
        return [problem for problem in problems if (problem.key, problem.found) not in before]

    def refused(self, document: Document, dates: list[Broken]) -> list[Broken]:
        """Which of these dates in a document are named by a check. A date in place of a type hides those beside it."""
        self.file.write_text(as_toml(document))
        named = {problem.key for problem in checking.check(self.file) if problem.is_error and problem.line is not None}
        return [one for one in dates if toml_key(one.place) in named]

    def _checked(self, one: Broken, found: Survey) -> tuple[Problem, ...]:
        assert found.loaded is not None
        left = (repr(found.loaded.config), found.loaded.file.omissions)
        if (found.is_usable and one.is_number) or (not found.is_usable and one.place in self.dates):
            return found.problems  # a number that may be is as good as another
        if left not in self._seen:
            checked = checking.check(self.file)
            self._seen[left] = tuple(problem for problem in checked if problem not in found.problems)
            if not self._is_of_tokens and len(self._seen) % self._starts_one_in == 0:
                self._compare_with_a_start(checked)
        return (*found.problems, *self._seen[left])

    def _compare_with_a_start(self, found: Sequence[Problem]) -> None:
        """What a check refuses a start refuses as well, and nothing else."""
        judged = {problem.key for problem in found if problem.is_error}
        assert (judged != set()) is (start(self.file) != set()), (judged, start(self.file))


def start(file: Path) -> set[str]:
    """Everything that a start (and a reload) has to do with a configuration but to serve by it; the keys that stand against it."""
    tickets, now, held, safe = TicketSecrets.fresh(), now_in_utc(), ListeningSockets(), Safe(now_in_utc)
    try:
        edition = read_edition(file, 1, tickets, now, safe)
        with edition.material.as_files() as files:
            loaded = LoadedConfig.of_document(edition.loaded.document, ConfigFile(file, files=files))
            build(loaded, prepare_openssl(loaded), tickets, now, payload=edition.payload)
        audit_log_of(edition.loaded.file, edition.loaded.config.audit, edition.loaded.config.hsm, SyslogJournal())
        held.prepare(addresses_of(edition.binds), 1).commit()
        held.close()
        for bind in edition.loaded.config.admin.metrics_bind:
            metrics_socket(bind).close()
    except ConfigError as error:
        return {problem.key for problem in error.problems if problem.is_error}
    except (AdminSocketError, BindFailed) as error:
        return {str(error)}
    finally:
        safe.locks.release()
    return set()


def names(problem: Problem, one: Broken) -> bool:
    """Whether a problem leads to the fault: by its key, by one inside of it, or by a word in what it says."""
    key = toml_key(one.place)
    if problem.key in {key, toml_key(one.place[:-1])} or problem.key.startswith((f"{key}.", f"{key}[")):
        return True
    said = f"{problem.key} {problem.found} {problem.allowed}"
    *_, name = (part for part in one.place if isinstance(part, str))
    words = {name, one.written, one.stood_there}
    # a wildcard is meant by the names that it stands for
    return any(
        word and re.search(rf"(?<![a-z_]){re.escape(word)}".replace(r"\*", "[a-z0-9*-]+"), said) for word in words
    )
