"""The PIN latch prevents repeated logins with a wrong PIN: one file per token, for every process of
the machine.

A token locks itself after a few wrong PINs, and a process that restarts after each crash would use
them up. So a process that gets CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_PIN_EXPIRED or a similar
answer notes the token and a fingerprint of the PIN. The next process reads the note before it logs
in. Another PIN that works releases the latch, or an operator does.

The content of the PIN file counts, not its time: systemd writes credential files again at each
start, which is exactly the crash loop. The note does not reveal the PIN: it keeps 8 bits of a
salted scrypt, which leaves 390,000 candidates of an 8-digit PIN. One new PIN in 256 looks like the
refused one and needs `unlatch`.
"""

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certs.files.atomic_file import write_state
from certs.files.directory import OpenDirectory, make_directories, open_state_file
from certs.hsm.access import file_stem
from certs.hsm.errors import LatchUnusable
from certs.hsm.secret import Secret

# scrypt: 16 MiB and some 50 ms a guess.
_COST: Final = 2**14
_BLOCK: Final = 8
_SALT_BYTES: Final = 16
_CHECK_BYTES: Final = 1
_PREFIX: Final = "CKR_PIN_"


def is_about_pin(ckr: str) -> bool:
    """Whether a return value says that this PIN is not to be tried again."""
    return ckr.startswith(_PREFIX)


@dataclass(frozen=True, slots=True)
class RefusedPin:
    label: str
    serial: str
    ckr: str
    at: str
    """When, in UTC."""
    salt: bytes
    check: bytes

    def is_about(self, pin: Secret) -> bool:
        """Whether this PIN is the refused one, as far as 8 bits tell."""
        return hmac.compare_digest(_check(self.salt, pin), self.check)


class PinLatch:
    """The latch of one token.

    Raises LatchUnusable wherever its directory or file cannot be used.
    """

    def __init__(self, directory: Path, label: str, serial: str) -> None:
        """For the token with this serial; one without serial is known by its label."""
        self._directory = directory
        self._label = label
        self._serial = serial
        stem = file_stem(label, serial)
        self.path = directory / f"{stem}.json"
        self._lock_path = directory / f"{stem}.lock"

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Only one process of the machine is in here: several that start at once would each try the
        wrong PIN.

        Waits for the others, so it belongs where a deadline ends the process.
        """
        try:
            make_directories(self._directory)
            descriptor = open_state_file(self._lock_path, os.O_RDWR)
        except OSError as error:
            raise _unusable(self._lock_path, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> RefusedPin | None:
        """What was refused last; None when nothing was.

        A damaged file counts as a refusal of every PIN: it raises LatchUnusable.
        """
        return _read(self.path)

    def set(self, pin: Secret, ckr: str, at: str) -> None:
        """Remember that `pin` was refused. On disk when this returns."""
        salt = os.urandom(_SALT_BYTES)
        document = {
            "token": self._label,
            "serial": self._serial,
            "refused": ckr,
            "at": at,
            "salt": salt.hex(),
            "check": _check(salt, pin).hex(),
        }
        try:
            write_state(self.path, json.dumps(document, indent=2).encode() + b"\n")
        except OSError as error:
            raise _unusable(self.path, error) from None

    def release(self) -> bool:
        """Forget it; whether there was something to forget."""
        return _remove(self.path)


def release_by_name(directory: Path, token: str) -> list[str]:
    """Forget what was refused for the tokens of this label or serial; answers their labels.

    Needs no token, which may be gone.
    """
    released = []
    try:
        paths = sorted(directory.glob("*.json"))
    except OSError as error:
        raise _unusable(directory, error) from None
    for path in paths:
        refusal = _read(path)
        if refusal is not None and token in (refusal.label, refusal.serial) and _remove(path):
            released.append(refusal.label)
    return released


def _check(salt: bytes, pin: Secret) -> bytes:
    return hashlib.scrypt(pin.reveal().encode(), salt=salt, n=_COST, r=_BLOCK, p=1)[:_CHECK_BYTES]


def _read(path: Path) -> RefusedPin | None:
    try:
        document = json.loads(path.read_bytes())
        return RefusedPin(
            str(document["token"]),
            str(document["serial"]),
            str(document["refused"]),
            str(document["at"]),
            bytes.fromhex(document["salt"]),
            bytes.fromhex(document["check"]),
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    except (ValueError, KeyError, TypeError):
        # not a partial write (`write_state`): another program changed it, and no PIN is tried
        raise LatchUnusable(str(path), "content that is not a latch; delete the file to try the PIN again") from None


def _remove(path: Path) -> bool:
    try:
        path.lstat()
        with OpenDirectory.at(path.parent) as directory:
            directory.remove(path.name)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(path, error) from None
    return True


def _unusable(path: Path, error: OSError) -> LatchUnusable:
    return LatchUnusable(str(path), (error.strerror or "an error").lower())
