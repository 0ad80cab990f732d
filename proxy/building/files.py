"""Read the files that a configuration names: what is kept in memory, and small secrets."""

from pathlib import Path
from typing import Final

from config.loading.reading import read_regular
from config.values.problems import Location, shown
from proxy.building.foundation import Foundation

_LARGEST_FILE: Final = 1_048_576  # bytes, as of PEM files
_EVERYBODY_ELSE: Final = 0o077


def read_bounded(
    foundation: Foundation, place: Location, file: str, most: int, contents: dict[Path, bytes]
) -> bytes | None:
    """Read a file of at most `most` bytes, once for all tables; None after an error."""
    path = foundation.loaded.file.resolve(file)
    if path not in contents:
        try:
            contents[path] = read_regular(path, most + 1).content
        except OSError as error:
            found = f"{shown(file)}, which cannot be read ({error.strerror})"
            foundation.error(place, found, "a file that the user who starts the proxy may read")
            return None
    if len(contents[path]) > most:
        allowed = f"at most {most:_} bytes: each worker keeps it in memory"
        foundation.error(place, f"{shown(file)}, which has more", allowed)
        return None
    return contents[path]


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
        better = f"mode 0600: chmod 600 {foundation.loaded.file.named(file)}"
        foundation.problems.append(foundation.loaded.file.warning(place, found, better))
    return read.content
