"""A token is tried by real signatures: its keys are loaded again, and each one has to sign.

Each makes a server's flight, and a client of ours checks the signature in it. A single key is tried
the same way (`try_key`).
"""

import contextlib
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

from config.values.pkcs11_uri import Pkcs11Uri
from proxy.signing.token import TokenPinRefused
from proxy.tls.openssl.key_store import LookupFailed
from proxy.tls.tokens.module_instances import ModuleInstances
from proxy.tls.tokens.token_key import LoadableKey, TokenKey
from proxy.tls.tokens.token_login import Login


class BadSignature(Exception):
    """The signature of the token does not fit the certificate of its key."""


@dataclass(frozen=True, slots=True)
class KeyProbe:
    """The probe of one token (`signing.token.Probe`), with all of its keys that are used."""

    keys: Sequence[TokenKey]
    login: Login = field(compare=False)
    instances: ModuleInstances = field(compare=False)
    """The instances of the module by which keys are loaded."""

    @property
    def missing(self) -> frozenset[str]:
        """The URIs of those that are not loaded."""
        return frozenset(key.location for key in self.keys if not key.is_loaded)

    def __call__(self) -> float:
        """Load and sign. If one key works, a missing one is not used until it is found.

        If no key works, this raises `TokenPinRefused`, or what the first key fails with. All keys
        then continue with what was loaded before.
        """
        slowest = 0.0
        failures: list[tuple[TokenKey, OSError | BadSignature]] = []
        is_logged_in = False
        for key in self.keys:
            try:
                loaded = self._load(key, is_logged_in=is_logged_in)
                is_logged_in = True
                slowest = max(slowest, signing_seconds(loaded))
            except (OSError, BadSignature) as error:
                if self.login.is_refused(key):
                    raise TokenPinRefused from error
                failures.append((key, error))
            else:
                key.adopt(loaded)
        if failures and len(failures) == len(self.keys):
            _, first = failures[0]
            raise first
        for key, _ in failures:
            key.adopt(None)
        return slowest

    def _load(self, key: TokenKey, *, is_logged_in: bool) -> ssl.SSLContext:
        # a process that has loaded one key is logged in
        with contextlib.nullcontext() if is_logged_in else self.login.turn(key):
            return self.instances.of(key.token).load(key)

    def anew(self) -> float:
        """The same; if no key works, try other instances of the module and keep the first that
        works.

        Raises as a call does, and then nothing has changed.
        """
        try:
            return self()
        except (OSError, BadSignature) as error:
            failure = error
        token = self.keys[0].token
        before = self.instances.of(token)
        for other in self.instances.others(token):
            self.instances.use(token, other)
            with contextlib.suppress(OSError, BadSignature):
                return self()
        self.instances.use(token, before)
        raise failure

    def check(self) -> float:
        """Sign with what is loaded. Raises what the first key fails with."""
        return max(signing_seconds(key.loaded) for key in self.keys if key.is_loaded)


def signing_seconds(context: ssl.SSLContext) -> float:
    """Have a context make a server's flight, and check the signature; the seconds it took."""
    to_client = ssl.MemoryBIO()
    to_server = ssl.MemoryBIO()
    # any certificate is good: only the signature must fit it
    checker = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    checker.minimum_version = ssl.TLSVersion.TLSv1_3
    checker.check_hostname = False
    checker.verify_mode = ssl.CERT_NONE
    client = checker.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    _wants_more(client)
    started = perf_counter()
    _wants_more(server)
    seconds = perf_counter() - started
    try:
        client.do_handshake()
    except ssl.SSLError as error:
        raise BadSignature from error
    return seconds


def _wants_more(tls: ssl.SSLObject) -> None:
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()


@dataclass(frozen=True, slots=True)
class KeyTrial:
    """`is_used` says whether this process serves by the key, `signs` whether it could."""

    is_used: bool
    signs: bool


def try_key(keys: Iterable[TokenKey], wanted: Pkcs11Uri, instances: ModuleInstances) -> KeyTrial:
    """Sign once with each of `keys` that is the wanted one; takes as long as the token does.

    `wanted` names token, serial, label and id. If the token is used for other keys, the key is
    searched again as well, with the PIN of those.
    """
    of_token = [key for key in keys if _fits(key.key, wanted, in_token_only=True)]
    used = [key for key in of_token if _fits(key.key, wanted)]
    signs = any(_signs(key) for key in used if key.is_loaded) or any(
        _is_found(key.key, wanted, instances) for key in of_token[:1]
    )
    return KeyTrial(bool(used), signs)


def _fits(key: LoadableKey, wanted: Pkcs11Uri, *, in_token_only: bool = False) -> bool:
    uri = key.uri
    pairs = [(uri.token, wanted.token), (uri.serial, wanted.serial)]
    if not in_token_only:
        pairs += [(uri.object, wanted.object)]
    is_that_id = in_token_only or uri.id in (None, wanted.id)
    return is_that_id and all(ours in (None, theirs) for ours, theirs in pairs)


def _signs(key: TokenKey) -> bool:
    try:
        signing_seconds(key.loaded)
    except (OSError, BadSignature):
        return False
    return True


def _is_found(known: LoadableKey, wanted: Pkcs11Uri, instances: ModuleInstances) -> bool:
    uri = replace(known.uri, object=wanted.object, id=wanted.id)
    try:
        return instances.of(known.token).count_keys(uri.with_pin_source(str(known.pin.path))) > 0
    except LookupFailed:
        return False
