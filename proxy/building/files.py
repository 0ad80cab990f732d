"""Read files whose content is kept in memory."""

from pathlib import Path

from config.problems import Location, shown
from config.reading import read_regular
from proxy.building.foundation import Foundation


def read_bounded(
    foundation: Foundation, place: Location, file: str, most: int, contents: dict[Path, bytes]
) -> bytes | None:
    """Read a file of at most `most` bytes. Files that several tables name are kept once.

    Returns None after an error.
    """
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
