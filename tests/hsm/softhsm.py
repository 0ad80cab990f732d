"""SoftHSM tokens in a directory of their own, keys in them, and certificates for these keys."""

import itertools
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs.keys.signing_key import PublicKey
from tests.certs.authority import PrivateKey, key_pem, private_key
from tests.hsm.shim import Shim, build_shim

SOFTHSM: Final = Path("/usr/lib/softhsm/libsofthsm2.so")
"""Where Debian's softhsm2 puts its module."""

_KINDS: Final = {"ecdsa-p256": "EC:prime256v1", "ecdsa-p384": "EC:secp384r1", "rsa-3072": "rsa:3072"}
USER_PIN: Final = "1234-user-pin"
_LONGEST_OF_OPENCRYPTOKI: Final = 8
_SO_PIN: Final = "so-pin-of-the-tests"
_imported = itertools.count(50_000)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that a test has made; `pin` is the user's."""

    label: str
    pin: str = field(repr=False)


class OtherModule(Protocol):
    """A module of `tests.hsm_modules`."""

    @property
    def module(self) -> Path: ...

    def init_token(self, label: str, pin: str) -> object:
        """Make a token."""


@dataclass(frozen=True, slots=True)
class SoftHsm:
    """A directory of tokens, and the shim in front of it."""

    directory: Path
    shim: Shim
    other: OtherModule | None = None
    """The module that is used instead of SoftHSM's; its tokens share no keys."""

    @classmethod
    def make(cls, directory: Path, module: Path | None = None) -> "SoftHsm":
        """Set it up; `module` is a shim that was built before."""
        assert SOFTHSM.exists(), f"{SOFTHSM} is missing (apt-get install softhsm2)"
        (directory / "tokens").mkdir(parents=True)
        (directory / "softhsm2.conf").write_text(
            f"directories.tokendir = {directory}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        shim = Shim(module or build_shim(directory, SOFTHSM), directory / "shim.control")
        return cls(directory, shim)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs to find the tokens and to be led by the shim."""
        return {
            **({} if self.other else {"SOFTHSM2_CONF": str(self.directory / "softhsm2.conf")}),
            "STATE_DIRECTORY": str(self.directory / "state"),
            **self.shim.environment,
        }

    def add_token(self, label: str, pin: str = USER_PIN) -> Token:
        """Initialise a token; the shim follows it from now on."""
        self.shim.token(label)
        if self.other is not None:
            pin = pin[:_LONGEST_OF_OPENCRYPTOKI]
            self.other.init_token(label, pin)
            return Token(label, pin)
        self._run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", _SO_PIN)
        return Token(label, pin)

    def put_into(self, other: "SoftHsm", label: str = "") -> None:
        """Move all tokens, or that of a label, to where another one looks for them, each at once: SoftHSM sees none that is being written."""
        for token in self._places(label):
            token.rename(other.directory / "tokens" / token.name)

    def lose_keys(self, token: Token) -> None:
        """Destroy all that is in a token, as an operator would by mistake."""
        for place in self._places(token.label):
            for path in place.iterdir():
                if path.name not in ("token.object", "token.lock", "generation"):
                    path.unlink(missing_ok=True)

    def initialise_anew(self, token: Token) -> None:
        """Make another token with the label and the PIN of one."""
        for place in self._places(token.label):
            shutil.rmtree(place)
        self.add_token(token.label, token.pin)

    def _places(self, label: str) -> list[Path]:
        places = list((self.directory / "tokens").iterdir())
        return [place for place in places if label.encode() in (place / "token.object").read_bytes()]

    def generate(self, token: Token, label: str, kind: str = "ecdsa-p256", identifier: str = "01") -> PublicKey:
        """Make a key in a token, where it stays; `identifier` are hexadecimal digits. Answers its public half."""
        made = ("--keypairgen", "--key-type", _KINDS[kind], "--label", label, "--id", identifier, "--usage-sign")
        self._tool(token, *made)
        return self.public_key(token, label)

    def public_key(self, token: Token, label: str) -> PublicKey:
        """Read the public half of a key."""
        file = self.directory / "public.der"
        self._tool(token, "--read-object", "--type", "pubkey", "--label", label, "--output-file", str(file))
        key = load_der_public_key(file.read_bytes())
        assert isinstance(key, PublicKey)
        return key

    def share(
        self,
        label: str,
        *tokens: Token,
        kind: str = "ecdsa-p256",
        identifier: str = "01",
        key: PrivateKey | None = None,
    ) -> PublicKey:
        """Put the same key into several tokens: a new one of a kind, or this `key`. Answers its public half."""
        key = key or private_key(kind, next(_imported))
        file = self.directory / "shared.key"
        file.write_bytes(key_pem(key))
        for token in tokens:
            given = ("--token", token.label, "--label", label, "--id", identifier, "--pin", token.pin)
            self._run("softhsm2-util", "--import", str(file), *given)
        file.unlink()
        public = key.public_key()
        assert isinstance(public, PublicKey)
        return public

    def try_wrong_pin(self, token: Token) -> None:
        """Log in with a wrong PIN, which the token remembers until there was a right one."""
        command = ["pkcs11-tool", "--module", str(SOFTHSM), "--token-label", token.label, "--login", "--pin", "9" * 8]
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            [*command, "--list-objects"], env=environment, capture_output=True, text=True, check=False
        )
        assert "CKR_PIN_INCORRECT" in done.stderr

    def destroy(self, token: Token, label: str) -> None:
        """Destroy a key, as another process would."""
        self._tool(token, "--delete-object", "--type", "privkey", "--label", label)

    def pin_file(self, token: Token, pin: str | None = None, mode: int = 0o600) -> Path:
        """Write the PIN of a token, or another one, into a file."""
        path = self.directory / f"{token.label}.pin"
        path.unlink(missing_ok=True)
        path.touch(mode=mode)
        path.write_text((pin or token.pin) + "\n")
        return path

    def give_to(self, user: int) -> None:
        """Let somebody else use the tokens: workers read and write them by themselves, as SoftHSM is only a library."""
        for place, _, files in os.walk(self.directory / "tokens"):
            os.chown(place, user, -1)
            for file in files:
                os.chown(Path(place) / file, user, -1)
        for path in (self.directory, self.directory / "softhsm2.conf", self.shim.module):
            path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o055)

    def _tool(self, token: Token, *arguments: str) -> None:
        real = SOFTHSM if self.other is None else self.other.module
        module = ("--module", str(real), "--token-label", token.label, "--login", "--pin", token.pin)
        self._run("pkcs11-tool", *module, *arguments)

    def _run(self, *command: str) -> None:
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command[0]} (apt-get install softhsm2 opensc): {done.stdout}{done.stderr}"


def remarks_of(module: Path, environment: Mapping[str, str]) -> frozenset[str]:
    """The lines that a module prints by itself: behind p11-kit's are all of this machine, and that of a TPM prints."""
    tool = ["pkcs11-tool", "--module", str(module), "--list-slots"]
    done = subprocess.run(tool, env=environment, capture_output=True, text=True, timeout=30, check=True)
    return frozenset(done.stderr.splitlines())


def besides(remarks: frozenset[str], complaints: list[str]) -> list[str]:
    """Complaints without remarks, which come in pieces where processes print at once."""
    return [line for line in complaints if line.startswith("{") or not remarks]
