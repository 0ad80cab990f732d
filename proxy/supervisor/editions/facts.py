"""What a configuration is judged by beside its own content.

The process that reads the configuration gathers it once: the parent at a start and at each reload,
and `plexigate check`. Workers get it from the parent and gather nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from certs.hierarchy.configured import opened_keys
from certs.hierarchy.proving import sealing_key_problems
from certs.hierarchy.vault import Vault
from certs.identities.identities import LoadedCredentials, load_credentials
from config.loading.loaded import LoadedConfig
from config.values.problems import ConfigError, Problem
from proxy.processes.material import Material
from proxy.processes.privileges import ProcessAccount, account_of
from proxy.supervisor.editions.issued import issued_material, with_files
from proxy.supervisor.secrets.payload_store import store_problems


@dataclass(frozen=True, slots=True)
class Facts:
    """What stands outside of the file."""

    now: datetime
    """The time by which certificates are judged."""
    account: ProcessAccount | None
    """The account of workers, if it is not the one of this process."""
    doubts: tuple[Problem, ...]
    """What is wrong with that account."""
    made: Material
    """The keys that were unsealed, and the credentials that rotations have issued."""
    credentials: LoadedCredentials = field(repr=False)
    found: tuple[Problem, ...]
    """What is wrong with the sealing key, with sealed files, and with what was issued."""
    tried: tuple[Problem, ...] = ()
    """What a check has found by trying what a start does: log in to tokens, bind, build."""


def gathered(
    loaded: LoadedConfig, now: datetime, open_vault: Callable[[], Vault | None], *, with_secrets: bool = True
) -> Facts:
    """Gather the facts about a configuration. May take as long as files and tokens take.

    Without `with_secrets`, no sealed file is opened, and so no token is used.
    """
    problems: list[Problem] = []
    issued = Material()
    opened = Material()
    if with_secrets:
        with refusals_in(problems):
            vault = open_vault()
            problems += sealing_key_problems(loaded, vault)
            if not any(one.is_error for one in problems):  # what does not open then needs no other remedy
                issued, faults = issued_material(loaded, vault)
                problems += faults
                problems += store_problems(loaded, vault)
                opened = Material.of_keys(opened_keys(loaded, vault))
    account, doubts = account_of(loaded)
    made = Material({**opened, **issued})
    return Facts(now, account, tuple(doubts), made, credentials_of(loaded, made, now), tuple(problems))


def credentials_of(loaded: LoadedConfig, made: Material, now: datetime) -> LoadedCredentials:
    """The credentials of all identities, read from the disk and from what was `made`."""
    with made.as_files() as files:
        return load_credentials(with_files(loaded, files), now)


@contextmanager
def refusals_in(problems: list[Problem]) -> Iterator[None]:
    """Add the problems of a `ConfigError` to `problems`, and continue: all are reported at once.

    A key that has an error already gets no second one that follows from it.
    """
    try:
        yield
    except ConfigError as error:
        known = {problem.key for problem in problems if problem.is_error}
        problems += [problem for problem in error.problems if problem.key not in known]
