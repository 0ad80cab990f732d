"""The PKCS#11 module as this process has loaded it: once more for a token that it did not see.

Theory of operation. A module knows the tokens that were there when it was initialised (PKCS#11 2.40
section 5.4). SoftHSM gives up for good a token that was unavailable for a moment, and the module of
a TPM shows no key that another process has made since. To finalise and
initialise the module again (C_Finalize) would end the sessions of all its tokens, also of those
that sign now. A second provider in front of the same library hears that it is
initialised already. So the file of the module is copied into memory and loaded from there. For the
linker that is another library, with a state of its own.

OpenSSL loads the copy in a library context of its own, because pkcs11-provider looks for slots once
in its life. A key from there signs in contexts of the default one too, as OpenSSL asks the provider
that a key came from.

A copy stays loaded, as threads may be in it: so there are few. If the state of a module is in
another library that it links (as with p11-kit's proxy), a copy sees no more than the original. Then
the parent replaces the process if it has to.

OpenSSL asks each slot when it loads the module or a copy. Slots whose token does not answer
(`ModuleInstances.silent_slots`, which the parent finds out) are not listed to it. A token that
answers later is one that came later.
"""

import errno
import os
import ssl
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

from certs.hsm.errors import HsmError
from certs.hsm.process.function_table import table_of
from proxy.tls.openssl import libssl
from proxy.tls.openssl.configuration import PKCS11, openssl_configuration, pkcs11_provider
from proxy.tls.openssl.key_store import KeyNotLoaded, count_keys, load_key
from proxy.tls.tokens.present_tokens import PresentToken, tokens_of
from proxy.tls.tokens.token_key import TokenKey

# Each takes 0.8 MB of memory and 7 ms with SoftHSM. A token that comes and goes more often than
# this is a matter for an operator, and for a new process.
_MOST_LATER: Final = 8
_MFD_EXEC: Final = 0x10  # linux/memfd.h; a kernel may forbid to run what was not made for it (sysctl vm.memfd_noexec)


class ModuleInstance:
    """One loading of the module. A call of it may take as long as its tokens need to answer."""

    def __init__(
        self,
        module: Path,
        provider: str | None,
        silent: Callable[[], frozenset[int]] = frozenset,
        *,
        is_first: bool,
    ) -> None:
        """OpenSSL's configuration loads the first one; another one is loaded with its first key.

        `provider`: see `pkcs11_provider`. `silent` answers the slots to leave alone.
        """
        self._silent = silent
        self._original = module
        self._provider = provider
        self._is_first = is_first
        self._opened: tuple[int, Path] | None = None
        self._fault: str | None = None
        """Why a copy did not start; it is not tried again, as what was loaded stays."""

    @property
    def module(self) -> Path:
        """Where the linker finds it, for its function table."""
        return self._original if self._opened is None else self._opened[1]

    @property
    def has_failed(self) -> bool:
        """Whether it did not start, and never will."""
        return self._fault is not None

    def tokens(self) -> tuple[PresentToken, ...]:
        """The tokens that it sees. Raises `HsmError`."""
        return tokens_of(self.module, self._silent())

    def mechanisms(self, token: PresentToken) -> frozenset[int]:
        """What a token can do, by PKCS#11's numbers. Raises `HsmError`."""
        return table_of(self.module).mechanisms(token.slot)

    def count_keys(self, uri: str) -> int:
        """How many keys a URI finds, see `key_store.count_keys`.

        Raises `LookupFailed`, or `KeyNotLoaded` or `OSError` if it does not start.
        """
        if not self._is_first:
            self._open()
        return count_keys(uri, self._context)

    def load(self, key: TokenKey) -> ssl.SSLContext:
        """Load a key, with a login if needed. Raises `OSError` (`ssl.SSLError`, `KeyNotLoaded`)."""
        if self._is_first:
            return key.load()
        self._open()
        try:
            fitting = [one for one in self.tokens() if one.fits(key.key.uri)]
        except HsmError as error:
            raise KeyNotLoaded(str(error)) from None
        if len(fitting) != 1:
            raise KeyNotLoaded(f"{len(fitting)} tokens fit")  # the provider would log in to all of them
        return load_key(key.key.openssl_uri, key.certificate_path, self._context)

    @property
    def _context(self) -> int | None:
        """The library context of OpenSSL; None is the default one."""
        return None if self._opened is None else self._opened[0]

    def _open(self) -> None:
        if self._opened is not None:
            return
        if self._fault is not None:
            raise KeyNotLoaded(self._fault)
        copy = Path(f"/proc/self/fd/{_executable_copy(self._original)}")
        hide_slots(copy, self._silent())
        configuration = openssl_configuration([pkcs11_provider(self._provider, str(copy))])
        descriptor = os.memfd_create("openssl.cnf")
        try:
            os.write(descriptor, configuration.encode())
            context = libssl.new_library_context(Path(f"/proc/self/fd/{descriptor}"))
        except libssl.LibsslError as error:
            self._fault = str(error)
            raise KeyNotLoaded(self._fault) from None
        finally:
            os.close(descriptor)
        if not libssl.provider_is_available(PKCS11, context):
            self._fault = "a copy of the module does not start"
            raise KeyNotLoaded(self._fault)
        self._opened = (context, copy)


class ModuleInstances:
    """All instances of one process, and which one serves each token."""

    def __init__(self, module: Path, provider: str | None = None) -> None:
        """There is the first one, by which all tokens are used."""
        self._module = module
        self.provider: Final = provider
        """See `pkcs11_provider`."""
        self.silent_slots: frozenset[int] = frozenset()
        """Slots whose token does not answer."""
        self._first: Final = ModuleInstance(module, provider, self._silent, is_first=True)
        self._later: list[ModuleInstance] = []
        self._used: dict[str, ModuleInstance] = {}
        self._was_short = False

    def of(self, token: str) -> ModuleInstance:
        """By which a token is used, by its NAME."""
        return self._used.get(token, self._first)

    @property
    def are_spent(self) -> bool:
        """Whether another one was wanted and not made, or did not start: a new process may help."""
        return self._was_short or any(one.has_failed for one in self._later)

    def use(self, token: str, instance: ModuleInstance) -> None:
        self._used[token] = instance

    def others(self, token: str) -> Iterator[ModuleInstance]:
        """The later instances, to try for a token: the newest first, then a new one, if there are
        few.
        """
        used = self.of(token)
        yield from [one for one in reversed(self._later) if one is not used]
        if len(self._later) == _MOST_LATER:
            self._was_short = True
            return
        self._later.append(ModuleInstance(self._module, self.provider, self._silent, is_first=False))
        yield self._later[-1]

    def _silent(self) -> frozenset[int]:
        return self.silent_slots


def hide_slots(module: Path, silent: frozenset[int]) -> None:
    """Take slots out of the list that a module gives in this process, before it is loaded.

    Raises `HsmError`.
    """
    if silent:
        table_of(module).list_only(lambda slot: slot not in silent)


@cache
def module_instances(module: Path, provider: str | None) -> ModuleInstances:
    """Those of this process, always the same."""
    return ModuleInstances(module, provider)


def _executable_copy(module: Path) -> int:
    """A copy in memory, whose descriptor stays open: by it the linker knows the library again.

    Raises `OSError`.
    """
    content = module.read_bytes()
    try:
        descriptor = os.memfd_create(module.name, os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a kernel before 6.3, where every one may be run
            raise
        descriptor = os.memfd_create(module.name)
    with os.fdopen(os.dup(descriptor), "wb") as copy:
        copy.write(content)
    return descriptor
