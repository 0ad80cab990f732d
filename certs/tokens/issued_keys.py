"""Keys in tokens that rotations made: the configuration does not name them, but credentials need
them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def issued_keys(state: Path) -> Iterator[tuple[str, str, bytes]]:
    """Of each one that is kept in a state directory: where that is said, its label and its id.

    What cannot be read is passed over: a person may have no right to it, and then no right to the
    token's PIN either.
    """
    for path in sorted((*state.glob("credentials/*/*/v*/key"), *state.glob("issuers/*/*/v*/key"))):
        try:
            document: Any = json.loads(path.read_bytes())
            yield str(path), str(document["label"]), bytes.fromhex(document["id"])
        except (KeyError, OSError, TypeError, ValueError):
            continue  # a key in a file, or no key at all
