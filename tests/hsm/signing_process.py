"""A process that builds a generation as a worker does and shakes hands with itself, led by lines of JSON on its standard input.

    python signing_process.py CONFIGURATION CA [SETTING ...]

Each SETTING is a setting of pkcs11-provider to leave out, to see what it is for. Only what is installed is imported here, nothing of
the tests. The first line of its answers has the problems of the building.
"""

import json
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from certs.hsm.errors import HsmError
from config.loading.loader import load
from config.values.pkcs11_uri import Pkcs11Uri
from config.values.problems import ConfigError, Problem, ProblemRow
from proxy.building.carried import Carried
from proxy.building.unusable_tokens import UnusableTokens
from proxy.processes.messages.questions import ToldToken
from proxy.signing.token import TokenPinRefused
from proxy.supervisor.editions.issued import issued_material, with_files
from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.openssl import configuration as openssl_configuration
from proxy.tls.openssl.key_store import LookupFailed, count_keys
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.tokens.openssl_setup import instances_of, prepare_openssl
from proxy.tls.tokens.present_tokens import is_logged_in, tokens_of
from proxy.tls.tokens.probe import try_key
from proxy.tls.tokens.signing_plan import TokenCredential
from proxy.worker.generation import Generation, build


class _Signer:
    def __init__(self, configuration: Path, ca: Path) -> None:
        self._configuration = configuration
        self._client = ssl.create_default_context(cafile=str(ca))
        self._capabilities = prepare_openssl(load(configuration))
        self._generation: Generation | None = None
        with suppress(LookupFailed):
            count_keys("pkcs11:token=nowhere;object=nothing")  # a module that was not loaded early is now

    def build(self, tickets: str = "00" * 32, closed: Any = None, *, is_reload: bool = False) -> Any:
        """Build it, after the one of before if there is one; `closed` is what the parent would say of tokens.

        `is_reload`: as what was read again, and not for other secrets.
        """
        carried = Carried() if self._generation is None else self._generation.carried
        now = datetime.now(UTC)  # noqa: TID251 - certificates that OpenSSL judges too are valid by the real clock
        if not is_reload and carried.judged_at is not None:
            now = carried.judged_at
        secrets = TicketSecrets(bytes.fromhex(tickets))
        loaded = load(self._configuration)
        issued, _ = issued_material(loaded)
        try:
            with issued.as_files() as files:
                generation = build(
                    with_files(loaded, files),
                    self._capabilities,
                    secrets,
                    now,
                    carried,
                    UnusableTokens.told({name: ToldToken(**one) for name, one in (closed or {}).items()}),
                )
        except ConfigError as error:
            return {"problems": _told(error.problems)}
        self._generation = generation
        return {"problems": _told(generation.warnings)}

    def handshakes(self, name: str, count: int = 1, threads: int = 1) -> Any:
        """Shake hands so many times; answer the errors."""
        with ThreadPoolExecutor(threads) as pool:
            errors = list(pool.map(lambda _: self._handshake(name), range(count)))
        return {"errors": [error for error in errors if error is not None]}

    def _handshake(self, name: str) -> str | None:
        assert self._generation is not None
        identity = self._generation.listeners["public"].policy.identities.resolve(name)
        assert identity is not None
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self._client.wrap_bio(to_client, to_server, server_hostname=name)
        server = _context(identity).wrap_bio(to_server, to_client, server_side=True)
        waiting = [client, server]
        try:
            while waiting:
                waiting = [one for one in waiting if not _is_done(one)]
                client, server = server, client
        except ssl.SSLError as error:
            return str(error)
        return None

    def count(self, uri: str) -> Any:
        """How many keys a URI finds; -1 and what the token said, if it did not answer."""
        try:
            return {"count": count_keys(uri)}
        except LookupFailed as error:
            return {"count": -1, "error": error.value}

    def tokens(self, module: str) -> Any:
        """The tokens of a module and whether this process is logged in; or what the module said."""
        try:
            found = tokens_of(Path(module))
            return {"tokens": [{**asdict(one), "in": is_logged_in(Path(module), one.slot)} for one in found]}
        except HsmError as error:
            return {"error": str(error)}

    def probe(self, token: str, *, anew: bool = False) -> Any:
        """Load the keys of a token again, and sign with them; by another instance of the module where that is what it takes."""
        assert self._generation is not None
        probe = self._generation.tokens[token].probe
        try:
            probe.anew() if anew else probe()
        except (TokenPinRefused, OSError) as error:
            return {"error": type(error).__name__}
        return {"error": None}

    def try_key(self, token: str, label: str, key_id: str) -> Any:
        """Find out whether this process can sign with a key."""
        assert self._generation is not None
        wanted = Pkcs11Uri(token, object=label, id=bytes.fromhex(key_id))
        return asdict(
            try_key(self._generation.carried.token_keys.values(), wanted, instances_of(self._generation.loaded))
        )

    def plan(self, name: str) -> Any:
        """What signs first for a host, and what is planned for tokens."""
        assert self._generation is not None
        identity = self._generation.listeners["public"].policy.identities.resolve(name)
        assert identity is not None
        assert identity.plan is not None
        _, signer = identity.plan.ranked[0]
        assert isinstance(signer, TokenCredential)
        return {
            "keys": [[context.key.token, context.key.is_loaded] for context in signer.keys],
            "is_spread": signer.is_spread,
            "tokens": {token: plan.threads for token, plan in self._generation.tokens.items()},
        }

    def others(self) -> Any:
        """Use OpenSSL in all other ways there are: in cryptography, and in children."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        ec.generate_private_key(ec.SECP256R1()).sign(b"", ec.ECDSA(hashes.SHA256()))
        code = "import ssl, cryptography.hazmat.primitives.asymmetric.rsa; ssl.create_default_context()"
        for command in ([sys.executable, "-c", code], ["openssl", "list", "-providers"], ["curl", "--version"]):
            subprocess.run(command, check=True, capture_output=True)
        return {}


def _context(identity: ServerIdentity) -> ssl.SSLContext:
    """The context of the key that signs first."""
    if identity.plan is None:
        return identity.context.current
    for _, signer in identity.plan.ranked:
        if isinstance(signer, ssl.SSLContext):
            return signer
        loaded = [context for context in signer.keys if context.key.is_loaded]
        if loaded:
            return loaded[0].current()
    raise AssertionError("no key is loaded")


def _is_done(tls: ssl.SSLObject) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _told(problems: tuple[Problem, ...]) -> list[ProblemRow]:
    return [one.as_json() for one in problems]


def main() -> None:
    """Answer each line until there is none."""
    left_out = sys.argv[3:]
    kept: Any = [one for one in openssl_configuration._PKCS11_SETTINGS if not any(name in one for name in left_out)]
    openssl_configuration._PKCS11_SETTINGS = tuple(kept)  # type: ignore[misc]  # what they are for
    signer = _Signer(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps(signer.build()), flush=True)
    for line in sys.stdin:
        what, settings = json.loads(line)
        print(json.dumps(getattr(signer, what)(**settings)), flush=True)


if __name__ == "__main__":
    main()
