"""What can be wrong with a backup, as a sentence for the person at the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from config.values.problems import printable
from proxy.commands.terminal.asking import ended

_RECOVER: Final = "plexigate hsm recover brings the sealing key of that time back, in the same kind of place and under the same --key-version"


@contextmanager
def said_errors() -> Iterator[None]:
    """Print an expected error as one sentence on standard error, and exit with 1."""
    try:
        yield
    except _expected() as error:
        raise ended(printable(_sentence(error))) from None


def _expected() -> tuple[type[Exception], ...]:
    # imported here: most commands of the program need none of it
    from certs.backup.capture import NeverStill
    from certs.backup.configured import RecipientRefused
    from certs.backup.container import BackupDamaged
    from certs.backup.header import NotForThisKey
    from certs.backup.manifest import TooNew
    from certs.backup.restoring import Incomplete, Occupied, OtherUnfinished
    from certs.backup.unsealing import NoRecoveryKey
    from certs.sealing.errors import SealingError
    from certs.sealing.files import SealedFileUnusable
    from certs.sealing.recipients import KeyUnreadable
    from certs.storage.lock import StateInUse
    from config.values.problems import ConfigError
    from proxy.admin.client import AdminRefused, AdminUnreachable
    from proxy.commands.hsm.sources import NotChosen
    from proxy.commands.terminal.output_file import AlreadyThere

    return (
        AdminRefused, AdminUnreachable, AlreadyThere, BackupDamaged, ConfigError, Incomplete, KeyUnreadable, NeverStill,
        NoRecoveryKey, NotChosen, NotForThisKey, Occupied, OSError, OtherUnfinished, RecipientRefused,
        SealedFileUnusable, SealingError, StateInUse, TooNew,
    )  # fmt: skip


def _sentence(error: Exception) -> str:
    from certs.sealing.errors import KeyUnavailable, OtherKey, SealingError
    from certs.storage.lock import StateInUse

    match error:
        case OtherKey():
            return f"the backup {error.reason}: {_RECOVER}"
        case KeyUnavailable():
            return f"the sealing key cannot be used: {error.why}: {_RECOVER}"
        case SealingError():
            return f"the backup {error.reason}"
        case StateInUse():
            return (
                f"{error.path} is in use by {error.holder}; stop the proxy, or wait until the other command has ended"
            )
        case OSError():
            return f"{error.filename or 'the system'}: {error.strerror or error}"
        case _:
            return str(error)
