"""Keys in tokens as this process's OpenSSL has loaded them, and the contexts that sign with them.

Theory of operation. To load a key logs in if that is needed, and takes a round trip for each
attribute. To share a loaded key takes none. So a process loads each key once, into a context that
serves for nothing else, and the contexts of listeners and ticket keys share it. When a token loses
its sessions, every loaded key of it is useless for ever. It has to be loaded again, and every
context that shares it must share the new one. So each signature asks for its context again, and
gets the same one as long as the key is the same.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from certs.files.memory_file import MemoryFile
from certs.hsm.secret import Secret
from config.values.pkcs11_uri import Pkcs11Uri
from proxy.tls.openssl import libssl
from proxy.tls.openssl.context import TlsSettings, bare_context


class NotLoaded(Exception):
    """The key could not be loaded so far, as its token was unavailable."""


class LoadableKey(Protocol):
    """Where OpenSSL finds a key that is in a token: a `Pkcs11Key`."""

    @property
    def token(self) -> str:
        """The NAME of its `[hsm.token.NAME]`."""

    @property
    def location(self) -> str: ...

    @property
    def uri(self) -> Pkcs11Uri:
        """The key's URI, without the PIN."""

    @property
    def pin(self) -> Secret: ...

    @property
    def openssl_uri(self) -> str:
        """The URI by which OpenSSL of this process finds the key and the PIN."""

    @property
    def pem_path(self) -> Path:
        """A file that leads OpenSSL of this process to the key."""


class TokenKey:
    """One key in one token, with the chain that it proves."""

    def __init__(self, key: LoadableKey, chain: bytes) -> None:
        """Begin without a loaded key (`load`, `adopt`). `chain` is in PEM, leaf first."""
        self.key: Final = key
        self.location: Final = key.location
        self._chain = MemoryFile("chain", chain)
        self._loaded: ssl.SSLContext | None = None

    @property
    def token(self) -> str:
        """The NAME of its `[hsm.token.NAME]`."""
        return self.key.token

    @property
    def certificate_path(self) -> Path:
        return self._chain.path

    @property
    def is_loaded(self) -> bool:
        return self._loaded is not None

    @property
    def loaded(self) -> ssl.SSLContext:
        """A context that has it, and serves to share it. Raises `NotLoaded`."""
        loaded = self._loaded
        if loaded is None:
            raise NotLoaded
        return loaded

    def load(self) -> ssl.SSLContext:
        """Load the key again; it is used after `adopt`.

        This logs in if that is needed, and takes as long as the token does. Raises `ssl.SSLError`
        or `OSError`.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_path, self.key.pem_path, _no_passphrase)
        return context

    def adopt(self, loaded: ssl.SSLContext | None) -> None:
        """Sign with what was loaded from now on; None: with nothing."""
        self._loaded = loaded


@dataclass(slots=True)
class KeyContext:
    """The context of a key under the policy of one listener."""

    key: TokenKey
    settings: TlsSettings
    signature_algorithms: str
    ticket_key: bytes = field(repr=False)
    _made: tuple[ssl.SSLContext, ssl.SSLContext] | None = field(default=None, repr=False)
    """What is loaded of the key, and the context that shares it."""

    @property
    def token(self) -> str:
        """The NAME of its `[hsm.token.NAME]`."""
        return self.key.token

    @property
    def location(self) -> str:
        return self.key.location

    @property
    def is_loaded(self) -> bool:
        return self.key.is_loaded

    def current(self) -> ssl.SSLContext:
        """The context for a signature that begins now; makes no call to the token.

        Any thread may ask. Raises `libssl.LibsslError` or `NotLoaded`.
        """
        loaded = self.key.loaded
        made = self._made
        if made is None or made[0] is not loaded:
            # two threads may both come here: each has a context that works, and the later one stays
            self._made = made = (loaded, self._sharing(loaded))
        return made[1]

    def _sharing(self, loaded: ssl.SSLContext) -> ssl.SSLContext:
        context = bare_context(self.settings)
        libssl.share_credential(self.key.certificate_path, loaded, context)
        libssl.set_signature_algorithms(context, self.signature_algorithms)
        libssl.set_ticket_key(context, self.ticket_key)
        return context


def _no_passphrase() -> str:
    """Answer OpenSSL instead of the terminal."""
    return ""
