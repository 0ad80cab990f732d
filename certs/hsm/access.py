"""How to reach a token: its module, which token of the module, and the file with its PIN."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from certs.hsm.errors import PinFileUnusable
from certs.hsm.secret import LONGEST_PIN, Secret
from config.loading.reading import read_regular

if TYPE_CHECKING:
    from certs.hsm.facts import TokenFacts

_REFUSED_MODE: Final = 0o7177  # all but read and write of its owner
_ALLOWED_MODE: Final = (
    "mode 0600 or stricter (chmod 600), and a new PIN if others could read it; or a systemd credential"
)
_ALLOWED_FILE: Final = "a file with the PIN of the token, mode 0600"


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """Which token of a module. Every field that is set must agree; ValueError when none is."""

    label: str | None = None
    serial: str | None = None
    slot: int | None = None

    def __post_init__(self) -> None:
        """Refuse an empty choice: the PIN would be tried on the first token that comes."""
        if self.label is None and self.serial is None and self.slot is None:
            raise ValueError("a token needs a label, a serial or a slot")

    def fits(self, token: "TokenFacts") -> bool:
        pairs = ((self.label, token.label), (self.serial, token.serial), (self.slot, token.slot))
        return all(wanted is None or wanted == found for wanted, found in pairs)

    def __str__(self) -> str:
        named = {"label": self.label, "serial": self.serial, "slot": self.slot}
        return ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)


@dataclass(frozen=True, slots=True)
class TokenAccess:
    """What a login needs. `pin` is not shown by anything that shows this value."""

    module: Path
    token: TokenChoice
    pin: Secret
    latch_directory: Path
    """Where refused PINs are remembered (`pin_latch`), by all processes of this machine."""
    may_use_final_try: bool = False
    """Whether to log in even if one more wrong PIN locks the token; only an operator sets it."""


def state_directory() -> Path:
    """The directory of persistent state: systemd's StateDirectory, else /var/lib/plexigate for
    root, else XDG_STATE_HOME.
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/plexigate")
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state, "plexigate")


def file_stem(label: str, serial: str) -> str:
    """The name of a token's files in the state directory: made from its serial, or from its label
    if it has none. All tokens of a TPM have a serial of zeros.
    """
    return hashlib.sha256((serial if serial.strip("0") else f"label:{label}").encode()).hexdigest()[:24]


def default_latch_directory() -> Path:
    """Where refused PINs are remembered: in the state directory."""
    return state_directory() / "pin-latch"


def read_pin(path: Path) -> Secret:
    """The PIN in a file: its content without the line end after it.

    Raises PinFileUnusable: unreadable, no file, of a mode beyond 0600, empty, too long, or more
    than one line.
    """
    # refused, not only warned about: a user who read the PIN could sign with the key unnoticed
    return _read(path, _REFUSED_MODE)


def read_handed_over_pin(path: Path) -> Secret:
    """The PIN in a systemd credential; its mode says nothing, as access lists show in it.

    Raises PinFileUnusable.
    """
    return _read(path, 0)


def _read(path: Path, refused_mode: int) -> Secret:
    try:
        read = read_regular(path, LONGEST_PIN + 3)
    except OSError as error:
        raise PinFileUnusable(str(path), (error.strerror or "an error").lower(), _ALLOWED_FILE) from None
    if read.mode & refused_mode:
        raise PinFileUnusable(str(path), f"mode {read.mode:04o}", _ALLOWED_MODE)
    line = read.content.removesuffix(b"\n").removesuffix(b"\r")
    fault = _fault_of(line)
    if fault is not None:
        raise PinFileUnusable(str(path), fault, f"one line with the PIN, 1 to {LONGEST_PIN} bytes of printable UTF-8")
    return Secret(line.decode())


def _fault_of(line: bytes) -> str | None:
    """What is wrong with the content.

    Apart from where the error is raised: a UnicodeDecodeError would be its context, with the PIN.
    """
    if not line:
        return "nothing in it"
    try:
        pin = line.decode()
    except UnicodeDecodeError:
        return "bytes that are no UTF-8"
    if not pin.isprintable():
        return "more than one line, or control characters"
    return f"more than {LONGEST_PIN} bytes" if len(line) > LONGEST_PIN else None
