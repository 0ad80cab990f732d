"""The token that a command works with: chosen by a configuration, or by options alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Self

import typer
from rich.console import Console

from certs.hsm.access import TokenAccess, TokenChoice, default_latch_directory, read_pin
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import HsmError, TokenMissing
from certs.hsm.facts import KeyAddress, PinState, TokenFacts
from certs.hsm.key_names import IdentityUnusable
from certs.hsm.used_versions import VersionsUnusable
from config.values.problems import printable
from proxy.admin.client import AdminRefused, AdminUnreachable
from proxy.commands.hsm.configured import Configured, ConfiguredToken, HsmNotConfigured, read_configured
from proxy.commands.terminal.asking import ended, served_file

Config = Annotated[Path | None, typer.Option(metavar="FILE", help="Configuration with [hsm].")]
ServedConfig = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Configuration with [hsm]. Default, without --module: that of the running proxy."
    ),
]
Module = Annotated[
    Path | None, typer.Option(metavar="PATH", help="PKCS#11 library. With --config: replaces the library there.")
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN", help="NAME of [hsm.token.NAME]. Without --config: a label, serial=SERIAL or slot=NUMBER."
    ),
]
PinFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File with the PIN of the token, mode 0600. With --config: replaces its PIN source."
    ),
]
Label = Annotated[str, typer.Argument(metavar="LABEL", help="Label of the key (CKA_LABEL), such as chat.ecdsa-p256.v1")]
KeyId = Annotated[
    str | None, typer.Option("--id", metavar="HEX", help="CKA_ID of the key, when several keys have that label.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON.")]

_NOTHING = "no token chosen: give --config FILE, or --module PATH with --token TOKEN and --pin-file FILE"


class NotChosen(Exception):
    """The command is refused. The sentence says why; `lines` are further lines of output."""

    def __init__(self, sentence: str, *lines: str) -> None:
        super().__init__(sentence)
        self.lines = lines


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The options that choose a token; most commands have them."""

    config: Path | None
    module: Path | None
    token: str | None
    pin_file: Path | None

    @classmethod
    def found(cls, config: Path | None, module: Path | None, token: str | None, pin_file: Path | None) -> Self:
        """The options; without --config and --module the configuration of the running proxy.

        Raises NotChosen if no proxy answers.
        """
        if config is None and module is None:
            try:
                config = served_file()
            except (AdminUnreachable, AdminRefused) as error:
                raise NotChosen(f"{_NOTHING}; no running proxy names its configuration ({error})") from None
        return cls(config, module, token, pin_file)

    def configured(self) -> Configured | None:
        """What the configuration says. Raises HsmNotConfigured."""
        return None if self.config is None else read_configured(self.config)

    def modules(self) -> Path:
        """The module. Raises NotChosen or HsmNotConfigured."""
        configured = self.configured()
        if self.module is None and configured is None:
            raise NotChosen(_NOTHING)
        return self.module or (configured.module if configured is not None else Path())

    def accesses(self) -> list[TokenAccess]:
        """Every token to log in to. Raises an HsmError, NotChosen or HsmNotConfigured."""
        configured = self.configured()
        if configured is None:
            return [self._by_options()] if self.token is not None and self.pin_file is not None else []
        chosen = [one for one in configured.tokens if self.token in (None, one.name)]
        if not chosen and configured.faults:
            raise NotChosen(str(configured.faults[0]))
        if not chosen:
            names = ", ".join(one.name for one in configured.tokens) or "none"
            raise NotChosen(f"{self.config}: found no token {self.token}; allowed: {names}")
        return [self._access(configured, one) for one in chosen]

    @property
    def half_login(self) -> str:
        """Which option lacks another one for a login; empty if none does."""
        if self.config is not None or (self.token is None) == (self.pin_file is None):
            return ""
        given, missing = ("--token", "--pin-file FILE") if self.pin_file is None else ("--pin-file", "--token TOKEN")
        return f"found {given} alone; allowed: {given} together with {missing}"

    def require_there(self, tokens: Sequence[TokenFacts]) -> None:
        """Raise TokenMissing if the options name a token that the module does not have."""
        if self.config is None and self.token is not None:
            choice = _choice(self.token)
            there = [one for one in tokens if one.is_initialized]
            if not any(choice.fits(one) for one in there):
                raise TokenMissing(str(choice), [str(one) for one in there])

    def access(self) -> TokenAccess:
        """The one chosen token. Raises as `accesses`, and NotChosen if there are several."""
        accesses = self.accesses()
        if not accesses:
            raise NotChosen(_NOTHING)
        if len(accesses) > 1:
            raise NotChosen(f"{self.config} has {len(accesses)} tokens; choose one with --token NAME")
        return accesses[0]

    def _by_options(self) -> TokenAccess:
        assert self.token is not None  # checked by the caller, as is the PIN file
        assert self.pin_file is not None
        if self.module is None:
            raise NotChosen(_NOTHING)
        return TokenAccess(self.module, _choice(self.token), read_pin(self.pin_file), default_latch_directory())

    def _access(self, configured: Configured, token: ConfiguredToken) -> TokenAccess:
        pin = token.pin(configured.loaded) if self.pin_file is None else read_pin(self.pin_file)
        return TokenAccess(self.module or configured.module, token.choice, pin, default_latch_directory())


def key_address(label: str, key_id: str | None) -> KeyAddress:
    """The key that `LABEL` and `--id` name. Raises NotChosen."""
    try:
        return KeyAddress(label, None if key_id is None else bytes.fromhex(key_id))
    except ValueError:
        raise NotChosen(f"--id: found {key_id!r}; allowed: hexadecimal digits, as plexigate hsm list shows") from None


def _choice(text: str) -> TokenChoice:
    kind, is_given, value = text.partition("=")
    match kind if is_given else "":
        case "serial":
            return TokenChoice(serial=value)
        case "slot" if value.isdecimal():
            return TokenChoice(slot=int(value))
        case _:
            return TokenChoice(label=text)


@contextmanager
def said_errors() -> Iterator[None]:
    """Print an error as one sentence on standard error, and exit with 1."""
    try:
        yield
    except (HsmError, NotChosen, HsmNotConfigured, IdentityUnusable, VersionsUnusable) as error:
        typer.echo(f"plexigate: {printable(str(error))}", err=True)
        for line in error.lines if isinstance(error, NotChosen) else ():
            typer.echo(printable(line), err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        raise ended(f"{error.filename or 'the system'}: {error.strerror}") from None


@contextmanager
def logged_in(
    access: TokenAccess, likely_slot: int | None = None, *, may_use_final_try: bool = False
) -> Iterator[tuple[TokenProcess, TokenFacts]]:
    """A logged-in process, and the facts of its token. Warns of a wrong PIN before."""
    with TokenProcess() as process:
        facts = process.log_in(replace(access, may_use_final_try=may_use_final_try), likely_slot)
        if facts.pin_state is not PinState.FINE:
            typer.echo(
                f"plexigate: token {printable(facts.label)}: a wrong PIN was given since the last login ({facts.pin_state})",
                err=True,
            )
        yield process, facts


def progress() -> Console:
    """The console for progress: standard error; rich shows it only on a terminal."""
    return Console(stderr=True)
