"""Files with secrets that are no keys of certificates: small, and for their owner only."""

from typing import Final

from config.problems import Location, shown
from config.reading import read_regular
from proxy.building.foundation import Foundation

_LARGEST_FILE: Final = 1_048_576  # bytes, as of PEM files
_EVERYBODY_ELSE: Final = 0o077


def private_content(foundation: Foundation, place: Location, file: str, allowed: str) -> bytes | None:
    """Read a file that the configuration names at `place`. None if it cannot be read.

    That is an error, and it says what is `allowed`. There is a warning if others may read the file.
    """
    path = foundation.loaded.file.resolve(file)
    try:
        read = read_regular(path, _LARGEST_FILE)
    except OSError as error:
        foundation.error(place, f"{shown(file)}, which cannot be read ({error.strerror})", allowed)
        return None
    if read.mode & _EVERYBODY_ELSE:
        found = f"{shown(file)}, which others may read (mode {read.mode & 0o777:04o})"
        foundation.problems.append(foundation.loaded.file.warning(place, found, f"mode 0600: chmod 600 {path.name}"))
    return read.content
