"""The tokens in `[hsm]` of a configuration, and the keys that the configuration uses."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from certs.hsm.access import TokenChoice
from certs.hsm.secret import Secret
from certs.keys.pin import read_pin_of
from certs.tokens.used_keys import UsedKey, used_keys
from config.loading.loaded import LoadedConfig
from config.loading.loader import survey
from config.tables.hsm import TokenConfig
from config.values.problems import Problem


class HsmNotConfigured(Exception):
    """The configuration has no usable `[hsm]`."""

    def __init__(self, file: Path, key: str, found: str, allowed: str) -> None:
        super().__init__(file, key, found, allowed)
        self.file = file
        self.key = key
        self.found = found
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: found {self.found}; allowed: {self.allowed}"


@dataclass(frozen=True, slots=True)
class ConfiguredToken:
    """`[hsm.token.NAME]`."""

    name: str
    choice: TokenChoice
    settings: TokenConfig

    def pin(self, loaded: LoadedConfig) -> Secret:
        """Its PIN, from the source in the configuration. Raises HsmNotConfigured."""
        pin = read_pin_of(loaded.file, self.name, self.settings)
        if isinstance(pin, Problem):
            raise HsmNotConfigured(loaded.file.path, pin.key, pin.found, pin.allowed)
        return pin


@dataclass(frozen=True, slots=True)
class Configured:
    """The tokens and used keys of a configuration."""

    loaded: LoadedConfig
    module: Path
    tokens: tuple[ConfiguredToken, ...]
    keys: tuple[UsedKey, ...]
    faults: tuple[Problem, ...] = ()
    """Problems of its tokens; `tokens` leaves those tokens out."""


def read_configured(file: Path) -> Configured:
    """Read the tokens of a configuration. Raises HsmNotConfigured.

    Errors outside `[hsm]` are ignored here; `plexigate check` reports them. The used keys come from
    the whole document, also from tables with errors: a key in such a table may still be needed.
    """
    found = survey(file)
    hsm = None if found.loaded is None else found.loaded.config.hsm
    if found.loaded is None or hsm is None:
        about = [one for one in found.problems if found.loaded is None or one.key.startswith("hsm")]
        for problem in about:
            raise HsmNotConfigured(file, problem.key or "file", problem.found, problem.allowed)
        raise HsmNotConfigured(file, "hsm", "nothing", "a table [hsm], or --module, --token and --pin-file")
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    tokens = tuple(
        ConfiguredToken(name, TokenChoice(names.label, names.serial, names.slot), hsm.token[name])
        for name, names in hsm.names.items()
    )
    # the dynamic linker finds a name without a slash, such as p11-kit-proxy.so
    module = found.loaded.file.resolve(hsm.module) if "/" in hsm.module else Path(hsm.module)
    faults = tuple(one for one in found.problems if one.is_error and one.key.startswith("hsm.token."))
    return Configured(
        found.loaded,
        module,
        tokens,
        used_keys(found.loaded.file, found.loaded.config.rotation.state, found.loaded.config.sealing, document),
        faults,
    )
