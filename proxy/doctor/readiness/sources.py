"""Where the handshakes of the last days are read: the running proxy, or the file that it keeps."""

from pathlib import Path

from config.loading.loaded import LoadedConfig
from proxy.admin.client import AdminRefused, AdminUnreachable, connect
from proxy.observe.adoption import Adoption, AdoptionMalformed, parse_adoption
from proxy.observe.adoption_store import AdoptionStore, AdoptionUnreadable


class NoFigures(Exception):
    """There is nothing to judge. The text says where it was looked for, and what to do."""


def figures(file: Path | None, socket: Path | None, configured: LoadedConfig | None) -> tuple[Adoption, str]:
    """Return the figures, and where they are from. Raises `NoFigures`.

    `configured` is the content of `file`, None without a file.
    """
    client = connect(file, socket)
    try:
        return parse_adoption(client.agreed(client.get("/adoption"))), "the running proxy"
    except AdoptionMalformed as error:
        raise NoFigures(f"the running proxy answers {error.found}: it is of another version of Plexigate") from None
    except AdminRefused as error:
        raise NoFigures(f"the running proxy has no figures: {error}; restart it with this version") from None
    except AdminUnreachable as error:
        absence = str(error)
    if configured is None:
        raise NoFigures(
            f"{absence}. Name the configuration to read what its proxy has kept: plexigate doctor readiness FILE"
        )
    store = AdoptionStore.of(configured)
    try:
        adoption = store.read()
    except AdoptionUnreadable as error:
        raise NoFigures(f"{absence}; {error}") from None
    except OSError as error:
        raise NoFigures(f"{absence}; {store.path}: {error.strerror or 'an error'}") from None
    if not adoption.days:
        raise NoFigures(f"{absence}; {store.path} has no handshake: start the proxy and come back in some days")
    return adoption, str(store.path)
