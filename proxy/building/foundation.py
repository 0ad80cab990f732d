"""What all parts of one building have in common."""

from dataclasses import dataclass

from config.loaded import LoadedConfig
from config.problems import Location, Problem
from proxy.sockets import Linger
from proxy.tls.stream import TlsLimits


@dataclass(frozen=True, slots=True)
class Foundation:
    """A configuration, and the list that collects what is wrong with it."""

    loaded: LoadedConfig
    problems: list[Problem]
    tls_limits: TlsLimits
    linger: Linger

    @classmethod
    def of(cls, loaded: LoadedConfig) -> "Foundation":
        """Begin with the warnings that reading the file has raised."""
        limits = loaded.config.limits
        return cls(
            loaded,
            list(loaded.warnings),
            TlsLimits(limits.key_updates_per_minute),
            Linger(limits.linger_bytes, limits.linger_seconds, limits.write_idle_seconds),
        )

    def error(self, location: Location, found: str, allowed: str) -> None:
        """Add an error."""
        self.problems.append(self.loaded.error(location, found, allowed))

    def is_faulty(self, *location: str) -> bool:
        """Whether an error inside of a table is known already: what follows from it needs no saying."""
        inside = self.loaded.key(*location) + "."
        return any(problem.is_error and problem.key.startswith(inside) for problem in self.problems)
