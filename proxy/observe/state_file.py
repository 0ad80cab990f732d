"""Where a proxy keeps what it remembers over restarts."""

import hashlib
from pathlib import Path
from typing import Final

from certs.hsm.access import state_directory
from config.loading.loaded import LoadedConfig

_DIGEST_DIGITS: Final = 16


def state_file(loaded: LoadedConfig, stem: str) -> Path:
    """The JSON file of that name of the proxy that runs by this configuration.

    It is in `rotation.state`, which belongs to one proxy. Without that key, it is in the state
    directory of the user, and its name tells the proxies of this user apart.
    """
    state = loaded.config.rotation.state
    if state is not None:
        return loaded.file.resolve(state) / f"{stem}.json"
    digest = hashlib.sha256(str(loaded.file.path.resolve()).encode()).hexdigest()[:_DIGEST_DIGITS]
    return state_directory() / f"{stem}-{digest}.json"
