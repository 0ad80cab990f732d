"""A token is tried by real signatures: its keys are loaded anew, and each one has to sign.

Each makes a server's flight, and a client of ours checks the signature in it.
"""

import contextlib
import ssl
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

from proxy.signing.token import TokenPinRefused
from proxy.tls.module_instances import ModuleInstances
from proxy.tls.token_key import TokenKey


class BadSignature(Exception):
    """The signature of the token does not fit the certificate of its key."""


class Login(Protocol):
    """How to log in to the token of a key."""

    def is_refused(self, key: TokenKey) -> bool:
        """Whether the token refuses every login by the PIN of a key that did not load; asks the
        token.
        """

    def turn(self, key: TokenKey) -> AbstractContextManager[None]:
        """Load within the block; raises `TokenPinRefused` if others know of a refused PIN."""


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
        then go on with what was loaded before.
        """
        slowest, failed, failure, is_in = 0.0, [], None, False
        for key in self.keys:
            try:
                # a process that has loaded one key is logged in
                with contextlib.nullcontext() if is_in else self.login.turn(key):
                    loaded = self.instances.of(key.token).load(key)
                is_in = True
                slowest = max(slowest, signing_seconds(loaded))
            except (OSError, BadSignature) as error:
                if self.login.is_refused(key):
                    raise TokenPinRefused from error
                failed.append(key)
                failure = failure or error
            else:
                key.adopt(loaded)
        if failure is not None and len(failed) == len(self.keys):
            raise failure
        for key in failed:
            key.adopt(None)
        return slowest

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
    """Have a context make a server's flight and check the signature; the seconds that the flight
    took.
    """
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
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
