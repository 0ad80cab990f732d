"""Tokens of two other PKCS#11 modules, from the first key on: what one can do is done, and what it lacks is said."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import CapabilityMissing
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName
from certs.issuing.signing_request import signing_request
from certs.keys.signing_key import spki_of
from certs.keys.token_private_key import token_private_key
from certs.keys.token_public_key import public_key_of
from certs.sealing.sealing_key import sealer_in_token, sealing_key_name
from tests import prepared
from tests.certificates import Authority
from tests.configurations import MINIMAL_LISTENER, process
from tests.document_links import ROOT
from tests.documents import read
from tests.hsm_modules import MODULES, OpenCryptoki, Tpm
from tests.hsm_tokens import SoftHsm, token_process
from tests.integration.gateway import complaints, events
from tests.programs import PLEXIGATE, Program, plexigate
from tests.test_documents import command_lines

TPM_LACKS = {
    KeyKind.RSA_4096: "its CKM_RSA_PKCS_KEY_PAIR_GEN makes at most 3072 bits",
    KeyKind.AES_256: "CKM_AES_GCM is not in its list of mechanisms",
}
SECONDS = 30.0
NO_MLDSA = "CKM_ML_DSA_KEY_PAIR_GEN is not in its list of mechanisms"


@pytest.fixture(scope="module", params=MODULES)
def hsm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    with request.param(tmp_path_factory.mktemp("token")) as one:
        yield one


@pytest.fixture(scope="module")
def access(hsm: SoftHsm) -> TokenAccess:
    return hsm.init_token("plexi")


def lacks(hsm: SoftHsm, kind: KeyKind) -> str | None:
    if kind.value.startswith("mldsa"):
        return NO_MLDSA
    return TPM_LACKS.get(kind) if isinstance(hsm, Tpm) else None


def test_keys_are_made_and_sign_or_it_is_said_what_the_token_lacks(hsm: SoftHsm, access: TokenAccess) -> None:
    with token_process(access) as token:
        before = token.perform(calls.keys())  # of tests that came before
        for kind in KeyKind:
            name, lack = TokenKeyName("kinds", kind, 1), lacks(hsm, kind)
            if lack is not None:
                with pytest.raises(CapabilityMissing) as said:
                    token.perform(calls.generate(name))
                assert str(said.value).startswith(f"token plexi has no {kind} keys ({lack}); allowed: ")
                continue
            made = token.perform(calls.generate(name))
            assert (made.is_sealed_in, made.was_never_extractable, made.is_local) == (True, True, True)
            assert set(made.uses) == ({"encrypt", "decrypt"} if kind.is_secret else {"sign"})
            if not kind.is_secret:
                assert_signs(token, KeyAddress.of(name))
            token.perform(calls.destroy(KeyAddress.of(name)))
            assert token.perform(calls.keys()) == before


def assert_signs(token: TokenProcess, address: KeyAddress) -> None:
    public = public_key_of(token.perform(calls.public_parts(address)))
    request = signing_request(("localhost",), token_private_key(public, address, token.perform))
    assert x509.load_der_x509_csr(request).is_signature_valid


@pytest.mark.every_module
def test_a_token_tests_itself(hsm: SoftHsm, access: TokenAccess) -> None:
    report = answered(hsm, access, "test", "--seconds", "0.1")
    assert report["ok"], report["checks"]
    in_token = {one["operation"] for one in report["measured"] if one["where"] == "token"}
    assert {"key generation (ECDSA P-256)", "signing (ECDSA P-256)", "signing (RSA-3072, PSS)"} <= in_token
    assert ("AES-256-GCM, 1 KiB" in in_token) is not isinstance(hsm, Tpm)


@pytest.mark.every_module
def test_a_sealing_key_is_made_in_a_token_with_what_it_has(hsm: SoftHsm, access: TokenAccess) -> None:
    if isinstance(hsm, Tpm):
        refused = ran(hsm, access, "init", "--yes")
        assert (refused.returncode, refused.stdout) == (1, ""), "and no share is shown"
        assert "cannot take the sealing key (CKM_AES_GCM is not in its list" in refused.stderr
        assert "allowed: --no-recovery, which makes a key pair of kind rsa-3072" in refused.stderr
    made = ran(hsm, access, "init", "--no-recovery")
    assert made.returncode == 0, made
    kind = KeyKind.RSA_3072 if isinstance(hsm, Tpm) else KeyKind.AES_256
    address = KeyAddress(sealing_key_name(kind=kind).label)
    with token_process(access) as token:
        sealed = sealer_in_token(token, address).seal(b"ticket keys", "label")
    with token_process(access) as token:
        assert sealer_in_token(token, address).open(sealed, "label") == b"ticket keys"
        assert token.perform(calls.destroy(address)).is_sealed_in


def answered(hsm: SoftHsm, access: TokenAccess, *words: str) -> Any:
    """What a command of `plexigate hsm` answers in JSON."""
    done = ran(hsm, access, *words, "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def ran(hsm: SoftHsm, access: TokenAccess, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of `plexigate hsm` for the token."""
    pin = hsm.pin_file(access.pin.reveal())
    token = ("--module", str(hsm.module), "--token", "plexi", "--pin-file", str(pin))
    return prepared.run([PLEXIGATE, "hsm", *words, *token], {"STATE_DIRECTORY": str(hsm.directory / "state")})


ROUTES = '[upstream.chat]\nservers = ["http://127.0.0.1:1"]\n' + "".join(
    f'[[route]]\nhost = "{host}"\nupstream = "chat"\n' for host in ("localhost", "file.localhost")
)


@dataclass(frozen=True)
class Served:
    """A configuration with a key in the token and one in a file, and clients of who serves by it."""

    hsm: SoftHsm
    access: TokenAccess
    authority: Authority
    directory: Path

    @property
    def configuration(self) -> Path:
        return self.directory / "plexigate.toml"

    def write(self, version: int) -> bytes:
        """Make a version of the key, and serve with it from now on. Answers its public half."""
        name = TokenKeyName("served", KeyKind.ECDSA_P256, version)
        with token_process(self.access) as token:
            token.perform(calls.generate(name))
            public = public_key_of(token.perform(calls.public_parts(KeyAddress.of(name))))
        chat, file = (
            self.authority.certify(f"v{version}", public, ("localhost",)),
            self.authority.issue("file", ("file.localhost",)),
        )
        self.configuration.write_text(
            f'{process(self.configuration.with_suffix(".sock"), 2)}{MINIMAL_LISTENER}[hsm]\nmodule = "{self.hsm.module}"\n'
            f'[hsm.token.plexi]\npin_file = "{self.hsm.pin_file(self.access.pin.reveal())}"\n'
            f'[identity.chat]\nnames = ["localhost"]\ncertificate = "{chat}"\nkey = "pkcs11:token=plexi;object={name.label}"\n'
            f'[identity.file]\nnames = ["file.localhost"]\ncertificate = "{file.certificate}"\nkey = "{file.key}"\n{ROUTES}'
        )
        return spki_of(public)

    @property
    def environment(self) -> dict[str, str]:
        return {"STATE_DIRECTORY": str(self.directory / "state")}

    def running(self) -> AbstractContextManager[Program[dict[str, list[str]]]]:
        return plexigate(self.configuration, self.environment)

    def key(self, running: Program[dict[str, list[str]]], host: str = "localhost") -> bytes | None:
        """The key that a handshake proves; None if there is none."""
        context = ssl.create_default_context(cafile=str(self.authority.path))
        port = int(running.ready["public"][0].rpartition(":")[2])
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 20) as sock,
                context.wrap_socket(sock, server_hostname=host) as tls,
            ):
                certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
        except (ssl.SSLError, ConnectionError):
            return None
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def until(self, running: Program[dict[str, list[str]]], key: bytes | None) -> None:
        """Wait for a change that comes about by itself."""
        ends = time.monotonic() + SECONDS
        while self.key(running) != key:
            assert time.monotonic() < ends, running.output


def test_clients_are_served_by_keys_that_are_made_meanwhile(hsm: SoftHsm, access: TokenAccess, tmp_path: Path) -> None:
    one = Served(hsm, access, Authority(tmp_path), tmp_path)
    first = one.write(1)
    with one.running() as running:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: one.key(running), range(40))) == {first}
        second = one.write(2)
        os.kill(running.pid, signal.SIGHUP)
        assert running.wait_for(lambda output: events(output, "reloaded") or None)
        assert {one.key(running) for _ in range(8)} == {second}
        options = ("--config", str(one.configuration), "--token", "plexi", "--yes")
        gone = prepared.run([PLEXIGATE, "hsm", "destroy", "served.ecdsa-p256.v1", *options], one.environment)
        assert gone.returncode == isinstance(hsm, Tpm), gone
        assert not isinstance(hsm, Tpm) or "still signs with it" in gone.stderr, "its module shows what it has read"
    assert complaints(running.output) == []


@pytest.mark.every_module
def test_a_daemon_may_go_and_return(hsm: SoftHsm, access: TokenAccess, tmp_path: Path) -> None:
    """openCryptoki's is only needed to begin; a TPM goes with those in front of it."""
    assert isinstance(hsm, OpenCryptoki | Tpm)
    one = Served(hsm, access, Authority(tmp_path), tmp_path)
    key = one.write(3)
    with one.running() as running:
        assert one.key(running) == key
        hsm.daemons.end()
        one.until(running, None if isinstance(hsm, Tpm) else key)
        assert one.key(running, "file.localhost") is not None
        hsm.daemons.begin()
        one.until(running, key)
    hsm.daemons.end()
    with one.running() as running:
        assert one.key(running) is None
        assert one.key(running, "file.localhost") is not None
        hsm.daemons.begin()
        one.until(running, key)


@pytest.mark.every_module
@pytest.mark.parametrize("place", MODULES)
def test_a_reader_of_the_document_has_a_key_that_serves(
    place: Callable[[Path], AbstractContextManager[SoftHsm]], tmp_path: Path
) -> None:
    document = read(ROOT / "docs" / "hsm.md")
    site = tmp_path / "site"
    for directory in (site, tmp_path / "daemons"):
        directory.mkdir()
    (site / "docker").symlink_to(ROOT / "docker")
    with place(tmp_path / "daemons") as hsm:
        of_module = document.section("a-tpm-20" if isinstance(hsm, Tpm) else "opencryptoki")
        ((module,),) = [re.findall(r'"(/\S+\.so)"', " ".join(text for _, text in of_module.prose))]
        assert Path(module) == hsm.module
        configuration = next(iter(document.section("the-configuration-with-a-token").blocks)).text
        (site / "plexigate.toml").write_text(configuration.replace("/usr/lib/softhsm/libsofthsm2.so", module))
        script = [
            line
            for section in (of_module, document.section("from-a-new-token-to-a-served-key"))
            for block in section.blocks
            for line in command_lines(block)
            if not line.startswith("apt-get ")
        ]
        text = "\n".join(script).replace("device:/dev/tpmrm0", "tabrmd:bus_type=session")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text.replace("&& plexigate run plexigate.toml", "")],
            cwd=site,
            env={
                **os.environ,
                "PATH": f"{Path(PLEXIGATE).parent}:{os.environ['PATH']}",
                "STATE_DIRECTORY": str(tmp_path / "state"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done
    assert done.stdout.endswith("plexigate.toml can be used.\n")
