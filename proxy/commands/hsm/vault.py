"""What seals by a configuration, for commands, and how they say its errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.commands.hsm.recording import Recorder, now
from proxy.commands.hsm.sources import NotChosen
from proxy.commands.terminal.asking import ended

if TYPE_CHECKING:
    from certs.hierarchy.vault import Vault


def configured_vault(config: Path, record: Recorder) -> "Vault":
    """What seals by a configuration. Raises `NotChosen` where nothing does."""
    from certs.hierarchy.configured import vault_of
    from config.loading.loader import survey
    from config.values.problems import ConfigError

    found = survey(config)
    try:
        vault = None if found.loaded is None else vault_of(found.loaded, now, record)
    except ConfigError as error:
        raise NotChosen("; ".join(map(str, error.problems))) from None
    if vault is None:
        raise NotChosen(
            f"{config}: sealing.key: found nothing; allowed: [sealing] with the key that plexigate hsm init made"
        )
    return vault


@contextmanager
def said_sealing_errors() -> Iterator[None]:
    """Print an error as one sentence on standard error, and exit with 1."""
    from certs.hierarchy.vault import NoKeys
    from certs.sealing.errors import SealingError
    from certs.sealing.files import SealedFileUnusable

    try:
        yield
    except SealedFileUnusable as error:
        raise ended(str(error)) from None
    except NoKeys as error:
        raise ended(error.why) from None
    except SealingError as error:
        raise ended(f"this {error.reason}") from None
