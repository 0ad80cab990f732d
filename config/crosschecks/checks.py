"""What a check across tables has at hand, and how it says what it has found. Pure."""

from dataclasses import dataclass

from config.schema import Config
from config.values.omissions import Omissions
from config.values.problems import Location, Problem, Severity


@dataclass(frozen=True, slots=True)
class Checks:
    """A configuration, its file, and the parts of the file that the configuration lacks."""

    config: Config
    file: str
    omissions: Omissions

    def names(self, table: str) -> frozenset[str]:
        """Those of the entries of a table, and of the entries that were refused."""
        return frozenset(getattr(self.config, table)) | self.omissions.names(table)

    def error(self, location: Location, found: str, allowed: str) -> Problem:
        return Problem(self.file, self.omissions.key(*location), found, allowed)

    def warning(self, location: Location, found: str, better: str) -> Problem:
        return Problem(self.file, self.omissions.key(*location), found, better, Severity.WARNING)
