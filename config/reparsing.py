"""Read a configuration in a worker, after the parent has accepted it. Nothing is judged again."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from config.former_times import renew
from config.loaded import ConfigFile, LoadedConfig
from config.positions import Positions
from config.schema import Config, IdentityConfig, ListenerConfig, RouteConfig, UpstreamConfig
from config.values import Table

# Tables of named entries, which may be many.
_ENTRIES: Mapping[str, type[Table]] = {
    "listener": ListenerConfig,
    "identity": IdentityConfig,
    "upstream": UpstreamConfig,
}


def parsed(content: bytes, path: Path, files: Mapping[Path, Path]) -> LoadedConfig:
    """Read the content of a configuration that `load` has accepted before, perhaps in another
    process.

    Entry by entry: a thousand of them at once would be a call of many milliseconds, in which no
    other thread has its turn.
    """
    text = content.decode()
    document = tomllib.loads(text)
    former = renew(document, str(path))
    for table, model in _ENTRIES.items():
        entries = {name: model.model_validate(entry) for name, entry in document.get(table, {}).items()}
        document[table] = entries
    document["route"] = [RouteConfig.model_validate(entry) for entry in document.get("route", ())]
    config, positions = Config.model_validate(document), Positions(text, former.in_file)
    return LoadedConfig(config, ConfigFile(path, files=files, credentials=credentials_directory(), positions=positions))


def credentials_directory() -> Path | None:
    """Where systemd has the credentials of the service: the same in all of its processes."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return None if directory is None else Path(directory)
