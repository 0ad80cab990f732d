"""Where the keys of a configuration can be made: in files, in sealed files, and in each of its
tokens.
"""

from pathlib import Path
from typing import Final

from certs.homes.software_homes import FileHome, SealedHome
from certs.homes.token_home import TokenHome
from certs.hsm.access import TokenAccess, TokenChoice, default_latch_directory, read_pin
from certs.keys.home import Homes, KeyHome
from certs.sealing.sealer import Sealer
from certs.storage.owner import Owner
from certs.storage.store import Store
from config.hsm import HsmConfig
from config.loaded import ConfigFile
from config.pkcs11_uri import Pkcs11Uri
from config.rotation import FILE, SEALED

_NOBODY: Final = Path("/")


def homes_of(file: ConfigFile, hsm: HsmConfig | None, store: Store, sealer: Sealer) -> Homes:
    """All of them, by the name behind the @ of a key. Nothing is read, and no token is asked."""
    homes: dict[str, KeyHome] = {FILE: FileHome(), SEALED: SealedHome(sealer)}
    if hsm is not None:
        for name in hsm.token:
            homes.setdefault(name, _token_home(file, hsm, name, store))
    return homes


def _token_home(file: ConfigFile, hsm: HsmConfig, name: str, store: Store) -> TokenHome:
    names, token = hsm.names[name], hsm.token[name]
    choice = TokenChoice(names.label, names.serial, names.slot)

    def access() -> TokenAccess:
        if token.pin_file is not None:
            pin_file = file.resolve(token.pin_file)
        else:
            assert token.pin_credential is not None  # one of both is there, see `TokenConfig`
            pin_file = file.resolve_credential(token.pin_credential) or _NOBODY
        return TokenAccess(file.resolve(hsm.module), choice, read_pin(pin_file), default_latch_directory())

    uri = Pkcs11Uri(token=names.label, serial=names.serial, slot_id=names.slot)
    return TokenHome(name, uri, access, Owner(store.directory, store.disk))
