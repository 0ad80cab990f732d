"""What config/plexichat.toml says that PlexiChat's own configuration should be."""

import json
from pathlib import Path
from typing import Any, Final

_SHIPPED: Final = Path(__file__).parents[1] / "config" / "plexichat.toml"
_MARK: Final = "#   "


def plexichat_settings() -> dict[str, Any]:
    """The YAML in its comment, of tables and scalars, by dotted names."""
    lines = _SHIPPED.read_text().splitlines()
    start = lines.index("#   server:")
    found, table = dict[str, Any](), ""
    for line in lines[start:]:
        if not line.startswith(_MARK):
            return found
        name, _, value = line.removeprefix(_MARK).partition(":")
        if not value:
            table = name
        else:
            found[f"{table}.{name.strip()}"] = json.loads(value)
    raise AssertionError("it has no end")
