"""The `openssl.cnf` of a worker, as text. Pure.

It activates OpenSSL's own provider, pkcs11-provider where keys are in tokens, and what was asked
for, in this order. It names no PIN: a default one would be tried on every token, so each URI brings
its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PKCS11: Final = "pkcs11"
"""The name of pkcs11-provider."""

# Sessions that it keeps open for the next signature: more than any [hsm.token.NAME] may have, so
# that none is opened for a signature and closed after it. It keeps as many as were used at one
# time, which the number of threads that sign decides.
_CACHED_SESSIONS: Final = 1_024

_PKCS11_SETTINGS: Final = (
    # else it unloads the module at exit, when the OpenSSL that the module may use itself is half
    # gone: a crash with SoftHSM
    "pkcs11-module-quirks = no-deinit",
    # else the provider's algorithms come up with the first key in a token, and keys of files travel
    # into the token from then on
    "pkcs11-module-load-behavior = early",
    # else a copy of each key is made for the session, and signs on when the key is destroyed
    "pkcs11-module-cache-keys = never",
    f"pkcs11-module-cache-sessions = {_CACHED_SESSIONS}",
)

# What the configuration language of OpenSSL takes for something else than itself (config(5)).
_SPECIAL: Final = frozenset("\\\"'`#$")


@dataclass(frozen=True, slots=True)
class ProviderModule:
    """A provider by its `name`, with its own settings; `path` None lets OpenSSL look in its own
    directory.
    """

    name: str
    path: str | None = None
    settings: Sequence[str] = ()


def pkcs11_provider(path: str | None, library: str) -> ProviderModule:
    """pkcs11-provider in front of the PKCS#11 library of a token's vendor."""
    return ProviderModule(PKCS11, path, (f"pkcs11-module-path = {_escaped(library)}", *_PKCS11_SETTINGS))


def openssl_configuration(providers: Sequence[ProviderModule]) -> str:
    """Write the file."""
    listed, sections = ["default = provider_default"], ["[provider_default]", "activate = 1"]
    for provider in providers:
        listed.append(f"{provider.name} = provider_{provider.name}")
        sections += [f"[provider_{provider.name}]", "activate = 1"]
        if provider.path is not None:
            sections.append(f"module = {_escaped(provider.path)}")
        sections += provider.settings
    head = ["openssl_conf = plexigate", "[plexigate]", "providers = providers", "[providers]"]
    return "\n".join([*head, *listed, *sections, ""])


def _escaped(path: str) -> str:
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in path)
