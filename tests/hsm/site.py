"""A configuration whose keys are in tokens, and processes that serve by it."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest

from certs.keys.signing_key import PublicKey
from certs.rotation.due import RenewalReason
from proxy.rotation.clocks import CLOCKS
from proxy.rotation.offline import Offline
from tests import prepared
from tests.certificates import Authority
from tests.configurations import MINIMAL_LISTENER, process
from tests.hsm.softhsm import SoftHsm, Token

_SIGNER: Final = Path(__file__).with_name("signing_process.py")


@dataclass(slots=True)
class Signer:
    """The process of `signing_process`; `problems` are those of its building, by key."""

    program: prepared.Conversation
    problems: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    exit_status: int | None = None
    """When it is over."""

    def build(self, **settings: object) -> None:
        """Build again."""
        self._built(self._ask("build", settings))

    def handshakes(self, name: str = "localhost", count: int = 1, threads: int = 1) -> list[str]:
        """Let it shake hands; answers the errors."""
        errors: list[str] = self._ask("handshakes", {"name": name, "count": count, "threads": threads})["errors"]
        return errors

    def begin_handshake(self, name: str = "localhost") -> None:
        """Let it shake hands, and wait for nothing."""
        self._say("handshakes", {"name": name})

    def end_handshake(self) -> list[str]:
        """Wait for what was begun; answers the errors."""
        errors: list[str] = self._read()["errors"]
        return errors

    def count_keys(self, uri: str) -> tuple[int, int]:
        """How many keys a URI finds (-1: the token did not answer), and the error of the token."""
        answer = self._ask("count", {"uri": uri})
        return answer["count"], answer.get("error", 0)

    def tokens(self, module: Path) -> dict[str, dict[str, Any]]:
        """The tokens of a module by their labels."""
        return {one["label"]: one for one in self._ask("tokens", {"module": str(module)})["tokens"]}

    def error_of(self, module: Path) -> str:
        """What is said instead of the tokens of a module."""
        return str(self._ask("tokens", {"module": str(module)})["error"])

    def probe(self, token: str, *, anew: bool = False) -> str | None:
        """Let it load the keys of a token again and sign, see `KeyProbe`; answers the kind of error, if any."""
        error: str | None = self._ask("probe", {"token": token, "anew": anew})["error"]
        return error

    def try_key(self, token: str, label: str, key_id: str) -> tuple[bool, bool]:
        """Whether it serves by a key of a token, and whether it could sign with it."""
        answer = self._ask("try_key", {"token": token, "label": label, "key_id": key_id})
        return answer["is_used"], answer["signs"]

    def plan(self, name: str) -> dict[str, Any]:
        """What signs first for a host: its keys, and the threads of all tokens."""
        return self._ask("plan", {"name": name})

    def use_openssl_otherwise(self) -> None:
        """Let it use cryptography, and start children that use OpenSSL."""
        self._ask("others", {})

    def read_problems(self) -> None:
        """Read how the first building went."""
        self._built(self._read())

    def _built(self, answer: Mapping[str, Any]) -> None:
        self.problems = {one["key"]: one for one in answer["problems"] if one["key"] not in ("route", "user")}

    def _ask(self, what: str, settings: Mapping[str, object]) -> dict[str, Any]:
        self._say(what, settings)
        return self._read()

    def _say(self, what: str, settings: Mapping[str, object]) -> None:
        self.program.stdin.write(json.dumps([what, settings]) + "\n")
        self.program.stdin.flush()

    def _read(self) -> dict[str, Any]:
        line = self.program.stdout.readline()
        if not line:
            self.program.stderr.seek(0)
            pytest.fail(f"the process ended: {self.program.stderr.read().decode()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True, slots=True)
class HsmSite:
    """A directory with tokens, an authority, and configurations."""

    directory: Path
    hsm: SoftHsm
    authority: Authority

    @classmethod
    def make(cls, directory: Path, module: Path) -> "HsmSite":
        """Set it up with a shim that was built before."""
        return cls(directory, SoftHsm.make(directory, module), Authority(directory))

    def identity(self, name: str, key: PublicKey, *uris: str, further: str = "") -> str:
        """An identity for the host of that name, with keys in tokens."""
        certificate = self.authority.certify(name, key, (name,))
        keys = json.dumps(uris[0] if len(uris) == 1 else uris)
        table = f"[identity.{name.partition('.')[0]}]\nnames = [{json.dumps(name)}]\n"
        return f"{table}certificate = {json.dumps(str(certificate))}\nkey = {keys}\n{further}"

    def replicas(self, name: str, keys: Mapping[str, PublicKey], further: str = "") -> str:
        """An identity with a key of its own, by URI, and a certificate in each of several tokens."""
        table = f"[identity.{name.partition('.')[0]}]\nnames = [{json.dumps(name)}]\n"
        for number, (uri, key) in enumerate(keys.items()):
            certificate = self.authority.certify(f"{name}-{number}", key, (name,))
            table += f"[[identity.{name.partition('.')[0]}.credential]]\n{further}"
            table += f"certificate = {json.dumps(str(certificate))}\nkey = {json.dumps(uri)}\n"
        return table

    def issued_identity(
        self, name: str, key: str | list[str], further: str = "", issuer: str = 'type = "internal"\n'
    ) -> str:
        """An identity for the host of that name, whose certificates an issuer makes for keys such as "ec-p256@plexi"."""
        return (
            f"[identity.{name}]\nnames = [{json.dumps(name)}]\n[[identity.{name}.credential]]\nkey = {json.dumps(key)}\n{further}"
            f'issuer = "internal"\n[issuer.internal]\n{issuer}[rotation]\nstate = "issued"\n'
        )

    def issue(self, configuration: Path, name: str) -> None:
        """Rotate the certificate of an identity, with no proxy running."""
        with mock.patch.dict(os.environ, self.hsm.environment):
            offline = Offline(configuration, CLOCKS)
            with offline.alone():
                *_, last = offline.rotate(offline.credentials(name)[0], RenewalReason.COMMAND)
        assert last["rotated"], last

    def tokens(self, *tokens: Token, further: Mapping[str, str] | None = None) -> str:
        """`[hsm]` with these tokens; `further` lines by their labels."""
        text = f"[hsm]\nmodule = {json.dumps(str(self.hsm.shim.module))}\n"
        for token in tokens:
            pin_file = json.dumps(str(self.hsm.pin_file(token)))
            text += f"[hsm.token.{token.label}]\npin_file = {pin_file}\n{(further or {}).get(token.label, '')}\n"
        return text

    def write(self, *parts: str, listener: str = MINIMAL_LISTENER, workers: int = 1, top: str = "") -> Path:
        """Write a configuration."""
        path = self.directory / "plexigate.toml"
        path.write_text(top + process(path.with_suffix(".sock"), workers) + listener + "".join(parts))
        return path

    @contextmanager
    def signer(self, configuration: Path, without: Sequence[str] = ()) -> Iterator[Signer]:
        """Run a process that builds and signs; it ends by itself with the block."""
        command = [str(_SIGNER), str(configuration), str(self.authority.path), *without]
        with prepared.converse(prepared.ProgramName.SIGNER, command, self.hsm.environment) as program:
            signer = Signer(program)
            signer.read_problems()
            yield signer
            program.stdin.close()
            signer.exit_status = program.ended(20)
