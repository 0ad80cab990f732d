"""The way from a configuration to a token with a key of the parent or of a command."""

from certs.hsm.access import TokenAccess, TokenChoice, default_latch_directory
from certs.keys.pin import read_pin_of
from config.loading.loaded import ConfigFile
from config.tables.hsm import HsmConfig
from config.values.pkcs11_uri import Pkcs11Uri
from config.values.problems import ConfigError, Problem


def access_of(file: ConfigFile, hsm: HsmConfig | None, uri: Pkcs11Uri) -> TokenAccess:
    """How to log in to the token of a key that was checked. Raises `ConfigError` without a PIN."""
    assert hsm is not None  # cross-checked, as is that there is one such token
    (name,) = hsm.tokens_of(uri)
    pin = read_pin_of(file, name, hsm.token[name])
    if isinstance(pin, Problem):
        raise ConfigError([pin])
    names = hsm.names[name]
    choice = TokenChoice(names.label, names.serial, names.slot)
    return TokenAccess(file.resolve(hsm.module), choice, pin, default_latch_directory())
