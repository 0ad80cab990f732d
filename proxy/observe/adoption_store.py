"""The days of `adoption` on disk: one file of the proxy in its state directory, with mode 0600."""

import json
from pathlib import Path
from typing import Final

from certs.files.atomic_file import write_state
from certs.files.directory import OpenDirectory, make_directories
from config.loading.loaded import LoadedConfig
from proxy.api.adoption import AdoptionDocument
from proxy.observe.adoption import Adoption, AdoptionMalformed, parse_adoption
from proxy.observe.state_file import state_file

# Thirty days of twenty listeners with full summaries have 9 MB.
_MOST_BYTES: Final = 16 * 1_048_576


class AdoptionUnreadable(Exception):
    """The file is there and cannot be used. `found` says why."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found

    def __str__(self) -> str:
        return f"{self.path} has {self.found}"


class AdoptionStore:
    """The file of one proxy. It and its directory need not be there."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    @classmethod
    def of(cls, loaded: LoadedConfig) -> "AdoptionStore":
        """The file of the proxy that runs by this configuration."""
        return cls(state_file(loaded, "adoption"))

    def read(self) -> Adoption:
        """What `write` kept; empty if there is no file.

        Raises `AdoptionUnreadable`, and `OSError` if the file cannot be opened.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return Adoption()
        if len(content) > _MOST_BYTES:
            raise AdoptionUnreadable(self.path, f"more than {_MOST_BYTES:_} bytes")
        try:
            return parse_adoption(json.loads(content))
        except AdoptionMalformed as error:
            raise AdoptionUnreadable(self.path, error.found) from None
        except (ValueError, RecursionError):
            raise AdoptionUnreadable(self.path, "other content than this proxy writes") from None

    def write(self, document: AdoptionDocument) -> None:
        """Keep a document, also over a crash. May take long. Raises `OSError`; the file is as it
        was.

        The oldest days are left out of a document that is too large.
        """
        days = dict(document["days"])
        content = _encoded(document)
        while len(content) > _MOST_BYTES and days:
            del days[min(days)]
            content = _encoded({**document, "days": days})
        make_directories(self.path.parent)
        write_state(self.path, content)

    def set_aside(self) -> Path:
        """Rename a file that cannot be used, and return its new path. Raises `OSError`.

        One that was set aside before is replaced, so that they do not pile up.
        """
        beside = self.path.with_name(f"{self.path.name}.damaged")
        with OpenDirectory.at(self.path.parent) as directory:
            directory.rename(self.path.name, beside.name)
        return beside


def _encoded(document: AdoptionDocument) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"
