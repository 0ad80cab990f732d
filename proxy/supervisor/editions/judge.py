"""The one judge of a configuration: whether it can be used, and everything that is wrong with it.

`plexigate check`, the doctor, a start and a reload judge here, by the facts that they have
gathered. What a worker finds beside this, while it builds, is about its own copy of OpenSSL: a
check builds too (`Facts.tried`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from certs.hierarchy.configured import key_in_file_warnings
from config.loading.loaded import LoadedConfig
from config.values.problems import ConfigError, Problem
from proxy.admin.held_addresses import own_server_problems
from proxy.admin.listening import socket_problems
from proxy.building.places import place_problems
from proxy.quic.availability import http3_problems
from proxy.supervisor.alerts.settings import program_problems
from proxy.supervisor.editions.facts import Facts


@dataclass(frozen=True, slots=True)
class Judged:
    """A configuration, the facts, and all problems, each once."""

    loaded: LoadedConfig
    facts: Facts
    problems: tuple[Problem, ...]

    @property
    def is_usable(self) -> bool:
        """Whether a start or a reload may continue."""
        return not any(one.is_error for one in self.problems)

    def accepted(self) -> "Judged":
        """The same, if it can be used. Raises `ConfigError` with all problems otherwise."""
        if not self.is_usable:
            raise ConfigError(self.problems)
        return self


def judge(loaded: LoadedConfig, facts: Facts) -> Judged:
    """Judge a configuration.

    A key with a fault in the file itself is not judged further: the rest would follow from it. The
    same is true of a private key that does not open. While the sealing key opens nothing, no
    warning about an identity is right: what it lacks may be sealed.
    """
    known = {one.key for one in loaded.faults}
    unopened = {one.key for one in facts.found if one.is_error}
    is_shut = "sealing.key" in unopened
    credentials = [one for one in facts.credentials.problems if one.key not in unopened]
    found = (*facts.found, *facts.tried, *credentials, *_rules(loaded, facts))
    further = [
        one
        for one in found
        if one.key not in known and (one.is_error or not is_shut or not one.key.startswith("identity."))
    ]
    return Judged(loaded, facts, tuple(dict.fromkeys([*loaded.faults, *loaded.warnings, *further])))


def _rules(loaded: LoadedConfig, facts: Facts) -> Iterator[Problem]:
    """What only looks. Nothing here changes a file, takes an address or uses a token."""
    yield from key_in_file_warnings(loaded.file, loaded.config.sealing)
    yield from facts.doubts
    yield from place_problems(loaded, facts.account)
    yield from socket_problems(loaded)
    yield from own_server_problems(loaded)
    yield from program_problems(loaded)
    yield from http3_problems(loaded)
    if loaded.config.fleet.etcd:
        # imported here: the client of etcd is large
        from proxy.supervisor.membership.configured import fleet_problems

        yield from fleet_problems(loaded)
