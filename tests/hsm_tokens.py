"""Real tokens of SoftHSM for tests: a directory, a configuration and PIN files of their own each."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from unittest import mock

from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.process.pin_latch import PinLatch
from certs.hsm.secret import Secret
from tests.c_library import build_library

PIN: Final = "4711-plexi-pin"
SO_PIN: Final = "0815-officer-pin"
_PLACES: Final = ("/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/lib64/pkcs11", "/usr/lib/x86_64-linux-gnu/softhsm")


class ToolMissing(Exception):
    """A test of tokens cannot be skipped: what it needs has to be installed."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(what, package)
        self.what = what
        self.package = package

    def __str__(self) -> str:
        return f"{self.what} is not here: apt-get install {self.package}"


def tool(name: str, package: str) -> str:
    """The path of a program. Raises ToolMissing."""
    found = shutil.which(name)
    if found is None:
        raise ToolMissing(name, package)
    return found


def softhsm_module() -> Path:
    """The module of SoftHSM. Raises ToolMissing."""
    for place in _PLACES:
        path = Path(place, "libsofthsm2.so")
        if path.is_file():
            return path
    raise ToolMissing("libsofthsm2.so", "libsofthsm2")


@dataclass(frozen=True, slots=True)
class SoftHsm:
    """A SoftHSM of its own, with `directory` for whatever a test makes beside it."""

    directory: Path
    module: Path

    @property
    def configuration(self) -> Path:
        """What SOFTHSM2_CONF names."""
        return self.directory / "softhsm2.conf"

    @property
    def latches(self) -> Path:
        """A directory for PIN latches."""
        return self.directory / "latches"

    def init_token(self, label: str, pin: str = PIN) -> TokenAccess:
        """Make a token with softhsm2-util; answers how to log in to it."""
        util = tool("softhsm2-util", "softhsm2")
        command = [util, "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", pin]
        subprocess.run(command, check=True, capture_output=True)
        return self.access(label, pin)

    def access(self, label: str, pin: str = PIN) -> TokenAccess:
        """How to log in to a token."""
        return TokenAccess(self.module, TokenChoice(label=label), Secret(pin), self.latches)

    def pin_file(self, pin: str = PIN, name: str = "token.pin") -> Path:
        """A file with a PIN that its owner alone can read."""
        path = self.directory / name
        path.touch(0o600)
        path.write_text(f"{pin}\n")
        return path


def tell_apart(latches: Path, refused: str, other: str) -> None:
    """Have the latch of a refused PIN, the only one there, tell it from another one: by the 8 bits it keeps, one of 256 looks the same."""
    (path,) = latches.glob("*.json")
    document = json.loads(path.read_bytes())
    latch = PinLatch(latches, document["token"], document["serial"])
    while (refusal := latch.read()) is not None and refusal.is_about(Secret(other)):
        assert refusal.is_about(Secret(refused))
        latch.set(Secret(refused), refusal.ckr, refusal.at)


@contextmanager
def softhsm(directory: Path) -> Iterator[SoftHsm]:
    """A SoftHSM without tokens; SOFTHSM2_CONF names its configuration until the block ends."""
    hsm = SoftHsm(directory, softhsm_module())
    tokens = directory / "tokens"
    tokens.mkdir()
    hsm.configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    with mock.patch.dict(os.environ, {"SOFTHSM2_CONF": str(hsm.configuration)}):
        yield hsm


@contextmanager
def token_process(access: TokenAccess) -> Iterator[TokenProcess]:
    """A process that has logged in."""
    with TokenProcess.logged_in(access) as process:
        yield process


def loaded(module: Path) -> TokenProcess:
    """A process that has a module and no login."""
    process = TokenProcess()
    process.perform(calls.load(module))
    return process


def through(access: TokenAccess, module: Path) -> TokenAccess:
    """The same token through another module."""
    return replace(access, module=module)


@dataclass(frozen=True, slots=True)
class Dishonest:
    """SoftHSM behind a module that lies, hangs and counts (`certs/hsm/dishonest_token.c`)."""

    module: Path
    log: Path

    @property
    def logins(self) -> int:
        """How often C_Login was called."""
        return self.log.read_text().count("login") if self.log.exists() else 0


@contextmanager
def dishonest(hsm: SoftHsm, how: str = "") -> Iterator[Dishonest]:
    """Compile it; processes that begin inside of the block get what `how` says."""
    module, log = hsm.directory / "dishonest.so", hsm.directory / "logins"
    source = Path(__file__).with_name("certs") / "hsm/dishonest_token.c"
    if not module.exists():
        build_library(source, module, "-O1")
    settings = {"DISHONEST_MODULE": str(hsm.module), "DISHONEST_LOG": str(log), "DISHONEST": how}
    with mock.patch.dict(os.environ, settings):
        yield Dishonest(module, log)
