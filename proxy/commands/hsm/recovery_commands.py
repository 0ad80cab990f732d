"""`plexigate hsm init` and `hsm recover`: make the sealing key, and rebuild it from its shares."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.commands.hsm.configured import HsmNotConfigured
from proxy.commands.hsm.recording import Recorder, recorded
from proxy.commands.hsm.sources import Config, Module, NotChosen, PinFile, SourceOptions, Token, logged_in
from proxy.commands.hsm.sources import said_errors as token_errors
from proxy.commands.terminal.asking import ended

if TYPE_CHECKING:
    from certs.audit.entries import Action, Outcome
    from certs.recovery.ceremony import Ceremony, Record
    from certs.recovery.sealed_before import SealedBefore
    from certs.sealing.importing import KeyImporter
    from certs.sealing.sealer import SealingKey

_KeyFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Store the key in this new file (mode 0600) instead of a token.")
]
_Version = Annotated[
    int, typer.Option("--key-version", min=1, help="Version of the sealing key in the token: N in sealing.aes-256.vN.")
]
Threshold = Annotated[int, typer.Option(min=2, max=16, help="How many shares are needed to recover the key.")]
Shares = Annotated[int, typer.Option(min=2, max=16, help="How many shares are made.")]
HasRecovery = Annotated[
    bool,
    typer.Option(
        "--recovery/--no-recovery",
        help="Make the key in memory and split it into shares; or make it in the token or file, without shares.",
    ),
]
IsSure = Annotated[bool, typer.Option("--yes", help="Ask no questions, and write all shares at once.")]
_AuditLog = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Audit log to write to, instead of the one of --config.")
]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: plexigate hsm init --threshold 3 --shares 5 --config plexigate.toml --token plexi")(
        init
    )
    app.command(epilog="Example: plexigate hsm recover --check 0123456789abcdef --config plexigate.toml --token plexi")(
        recover
    )


def init(  # noqa: PLR0913 - the options of a command
    config: Config = None,
    module: Module = None,
    token: Token = None,
    pin_file: PinFile = None,
    key_file: _KeyFile = None,
    key_version: _Version = 1,
    threshold: Threshold = 3,
    shares: Shares = 5,
    has_recovery: HasRecovery = True,
    is_sure: IsSure = False,
    audit_log: _AuditLog = None,
) -> None:
    """Make the sealing key, which encrypts secrets on disk, and split it into
    recovery shares for several people.

    By default this process makes the key in locked memory, which is not part of
    core dumps. Then it imports the key. Each share (SLIP-39, 33
    words) is shown once and stored nowhere. With --no-recovery the key is made
    inside the token or file, and cannot be recovered if that is lost.
    """
    source = SourceOptions(config, module, token, pin_file)
    with _ceremony(source, key_file, key_version, audit_log, is_sure=is_sure) as ceremony:
        make_key(ceremony, (threshold, shares) if has_recovery else None, is_sure=is_sure)


def recover(  # noqa: PLR0913 - as above
    config: Config = None,
    module: Module = None,
    token: Token = None,
    pin_file: PinFile = None,
    key_file: _KeyFile = None,
    key_version: _Version = 1,
    check: Annotated[str | None, typer.Option(metavar="HEX", help="Check value that hsm init showed.")] = None,
    audit_log: _AuditLog = None,
) -> None:
    """Recover the sealing key from its shares. The command asks for one share
    after the other.

    Words are not shown while you type, and can be shortened to their first four
    letters. Without a terminal the shares are read from standard input: one per
    line, or as hsm init --yes wrote them. Recover the key under its previous
    version (--key-version): sealed files name the version of their key.
    """
    source = SourceOptions(config, module, token, pin_file)
    with _ceremony(source, key_file, key_version, audit_log, is_sure=False) as ceremony:
        ceremony.recover(check)


def make_key(ceremony: "Ceremony", scheme: tuple[int, int] | None, *, is_sure: bool) -> "SealingKey":
    """Make the key; `scheme`: (threshold, shares), None without recovery. See `said_errors`."""
    from proxy.commands.hsm.recovery_terminal import ConsoleTerminal, NoTerminal

    if scheme is None:
        return ceremony.generate()
    from certs.recovery.shares import SharingScheme
    from certs.sealing.sealer import AeadSealer

    chosen = SharingScheme(*scheme)
    ConsoleTerminal.require_output()
    if not is_sure and not ConsoleTerminal.is_one():
        raise NoTerminal
    return AeadSealer(ceremony.init(chosen))


def _require_one_place(source: SourceOptions, key_file: Path | None, version: int) -> None:
    """Refuse options for two places: the key would not be where the user expects it."""
    said = {"--module": source.module, "--token": source.token, "--pin-file": source.pin_file}
    about_token = [option for option, value in said.items() if value is not None]
    about_token += ["--key-version"] if version != 1 else []
    if key_file is not None and about_token:
        raise typer.BadParameter(f"found both; allowed: either a token ({', '.join(about_token)}) or --key-file")


@contextmanager
def _place(source: SourceOptions, key_file: Path | None, version: int) -> Iterator["KeyImporter"]:
    """The place of the key: a file, or a token that this process is logged in to meanwhile."""
    if key_file is not None:
        from certs.sealing.key_file import KeyFileImporter

        yield KeyFileImporter(key_file)
        return
    from certs.sealing.sealing_key import TokenKeyImporter

    try:
        access = source.access()
    except HsmNotConfigured as error:
        raise HsmNotConfigured(error.file, error.key, error.found, f"{error.allowed}; or --key-file FILE") from None
    with logged_in(access) as (process, facts):
        yield TokenKeyImporter(process, facts, version)


@contextmanager
def _ceremony(
    source: SourceOptions, key_file: Path | None, version: int, audit_log: Path | None, *, is_sure: bool
) -> Iterator["Ceremony"]:
    """What makes the key in its place. Prints expected errors of the block."""
    # imported here: the other commands do not need it
    from certs.recovery.ceremony import Ceremony
    from certs.recovery.hardening import harden
    from proxy.commands.hsm.recovery_terminal import ConsoleTerminal

    _require_one_place(source, key_file, version)
    with (
        said_errors(),
        token_errors(),
        recorded(source.config, audit_log) as record,
        _place(source, key_file, version) as importer,
    ):
        terminal = ConsoleTerminal(is_sure=is_sure)
        yield Ceremony(importer, terminal, harden, of_sealing_key(record), _before(source.config))


def _before(config: Path | None) -> "SealedBefore | None":
    """The file that the sealing key of a configuration has sealed, or None. Raises `NotChosen`."""
    if config is None:
        return None
    from certs.hierarchy.configured import directory_of
    from certs.hierarchy.vault import FILE_NAME
    from certs.recovery.sealed_before import SealedBefore
    from config.loading.loader import survey

    found = survey(config)
    if found.loaded is None or found.loaded.file.omissions.touch("sealing"):
        about = (
            one for one in found.problems if one.is_error and (found.loaded is None or one.key.startswith("sealing"))
        )
        raise NotChosen("; ".join(map(str, about)))
    return (
        None
        if found.loaded.config.sealing.key is None
        else SealedBefore(directory_of(found.loaded.file, found.loaded.config.sealing) / FILE_NAME)
    )


def of_sealing_key(record: Recorder) -> "Record":
    """What writes operations on the sealing key to the audit log."""

    def write(action: "Action", outcome: "Outcome", detail: str) -> None:
        record(action, "sealing key", outcome, detail)

    return write


@contextmanager
def said_errors() -> Iterator[None]:
    """Print an expected error and exit with 1; other tracebacks show no local variables."""
    from certs.audit.tail import LogDamaged
    from certs.files.file_lock import StillLocked
    from certs.recovery.ceremony import Aborted
    from certs.recovery.hardening import NotHardened
    from certs.recovery.shares import NotRebuilt, SchemeUnusable
    from certs.sealing.importing import ImportRefused
    from proxy.commands.hsm.recovery_terminal import NoOutput, NoTerminal

    expected: tuple[type[Exception], ...] = (
        Aborted, ImportRefused, LogDamaged, NotHardened, NoOutput, NotRebuilt, NoTerminal, OSError, SchemeUnusable,
        StillLocked,
    )  # fmt: skip
    try:
        yield
    except expected as error:
        raise ended(str(error)) from None
