"""What a configuration says about rotations, as objects: its store, where keys are made, who signs; and what does not fit together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.internal_ca.names import is_permitted
from certs.issuing.issuer import Issuer, Issuers
from certs.keys.generating import ALGORITHMS
from certs.keys.home import Homes
from certs.keys.seal_file import SealFile
from certs.keys.software_homes import FileHome, SealedHome
from certs.storage.disk import Disk
from certs.storage.store import Store, store_of
from config.loaded import LoadedConfig
from config.problems import Problem
from config.rotation import FILE, SEALED, InternalIssuerConfig, IssuedCredentialConfig, KeySpec

_SEALING_KEY: Final = "seal.key"

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Parts:
    """All of it, for one configuration."""

    loaded: LoadedConfig
    store: Store
    homes: Homes
    issuers: Issuers

    def credentials(self) -> Iterator[tuple[str, int, IssuedCredentialConfig]]:
        """The issued credentials: identity, index among its credentials, settings."""
        for name, index, settings, _ in self.store.of_config(self.loaded.config):
            yield name, index, settings


def parts_of(loaded: LoadedConfig, now: Clock, disk: Disk | None = None) -> Parts | None:
    """Make them; nothing is read or written. None where the configuration has no state directory. `now` is the clock, in UTC."""
    store = store_of(loaded, disk)
    if store is None:
        return None
    homes: Homes = {FILE: FileHome(), SEALED: SealedHome(SealFile(store.directory / _SEALING_KEY, store.disk))}
    issuers = {name: _issuer(name, loaded, store, homes, now) for name in loaded.config.issuer}
    return Parts(loaded, store, homes, issuers)


def _issuer(name: str, loaded: LoadedConfig, store: Store, homes: Homes, now: Clock) -> Issuer:
    settings = loaded.config.issuer[name]
    root_key = None if settings.root_key is None else loaded.resolve(settings.root_key)
    return InternalAuthority(name, settings, store, homes, root_key, now)


def issuance_problems(parts: Parts) -> Iterator[Problem]:
    """Credentials that could never be issued, and keys that are worth less than they look. Nobody is asked anything for it."""
    loaded = parts.loaded
    for identity, index, settings in parts.credentials():
        place = ("identity", identity, "credential", index, "key")
        yield from _key_problems(parts, place, settings.key)
        issuer = parts.issuers.get(settings.issuer)
        if issuer is not None and not issuer.signs(ALGORITHMS[settings.key.algorithm]):
            found = f'"{settings.key}", which issuer {settings.issuer} does not sign'
            yield loaded.error(place, found, "a kind of key that this issuer signs, or another issuer")
        yield from _name_problems(loaded, identity, settings)
    for name, authority in loaded.config.issuer.items():
        if isinstance(authority, InternalIssuerConfig):
            for key in ("key", "root"):
                yield from _key_problems(parts, ("issuer", name, key), getattr(authority, key))


def _key_problems(parts: Parts, place: tuple[str | int, ...], spec: KeySpec) -> Iterator[Problem]:
    home = parts.homes.get(spec.place)
    if home is None:
        places = ", ".join(f'"{name}"' for name in sorted(parts.homes))
        yield parts.loaded.error(place, f'"{spec}"', f"a place that there is behind the @: {places}")
    elif not home.makes(ALGORITHMS[spec.algorithm]):
        yield parts.loaded.error(
            place, f'"{spec}", which cannot be made there', "another kind of key, or another place"
        )


def _name_problems(loaded: LoadedConfig, identity: str, settings: IssuedCredentialConfig) -> Iterator[Problem]:
    authority = loaded.config.issuer.get(settings.issuer)
    if isinstance(authority, InternalIssuerConfig):
        for index, name in enumerate(loaded.config.identity[identity].names):
            if not is_permitted(name, authority.names):
                allowed = f"a name that issuer.{settings.issuer}.names permits: {', '.join(authority.names)}"
                yield loaded.error(("identity", identity, "names", index), f'"{name}"', allowed)
