"""`plexigate hsm init` and `plexigate hsm recover`: the sealing key, and the shares that bring it back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.commands.hsm.recording import Recorder, recorded
from proxy.commands.hsm.sources import Config, Module, NotChosen, PinFile, SourceOptions, Token, logged_in
from proxy.commands.hsm.sources import said_errors as token_errors

if TYPE_CHECKING:
    from certs.audit.entries import Action, Outcome
    from certs.recovery.ceremony import Ceremony, Record
    from certs.recovery.sealed_before import SealedBefore
    from certs.sealing.importing import KeyImporter

_KeyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Keep the key in this new file, with mode 0600, in place of a token.", show_default=False
    ),
]
_Version = Annotated[
    int, typer.Option("--key-version", min=1, help="Which sealing key of the token: N in sealing.aes-256.vN.")
]
_AuditLog = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The audit log to write to, in place of that of --config.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program of tokens."""
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
    threshold: Annotated[int, typer.Option(min=2, max=16, help="How many shares bring the key back.")] = 3,
    shares: Annotated[int, typer.Option(min=2, max=16, help="How many shares there are.")] = 5,
    has_recovery: Annotated[  # noqa: FBT002 - the signature of a typer command
        bool, typer.Option("--recovery/--no-recovery", help="Make it outside and split it; or make it where it stays.")
    ] = True,
    is_sure: Annotated[bool, typer.Option("--yes", help="Ask nobody, and show all shares at once.")] = False,  # noqa: FBT002
    audit_log: _AuditLog = None,
) -> None:
    """Make the sealing key, which encrypts what must rest on disk, and split it among people.

    With recovery the key is made outside of the token, in the memory of this one process, which is locked and never dumped; the shares
    (SLIP-39, 33 words each) are shown once and kept nowhere. With --no-recovery it is made in its place, and nobody can bring it back.
    """
    source = SourceOptions(config, module, token, pin_file)
    _require_one_place(source, key_file, key_version)
    with (
        said_errors(),
        token_errors(),
        recorded(config, audit_log) as record,
        _place(source, key_file, key_version) as importer,
    ):
        ceremony = _ceremony(importer, record, config, is_sure=is_sure)
        make_key(ceremony, (threshold, shares) if has_recovery else None, is_sure=is_sure)


def recover(  # noqa: PLR0913 - as above
    config: Config = None,
    module: Module = None,
    token: Token = None,
    pin_file: PinFile = None,
    key_file: _KeyFile = None,
    key_version: _Version = 1,
    check: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The check value that hsm init has told.", show_default=False),
    ] = None,
    audit_log: _AuditLog = None,
) -> None:
    """Bring the sealing key back from its shares, which are asked for one after the other.

    Words may be shortened to their first four letters, and are not shown. Without a terminal they are read from standard input, a
    share in each line or as hsm init --yes has written them. What was sealed names the version of its key: bring it back under the same one.
    """
    source = SourceOptions(config, module, token, pin_file)
    _require_one_place(source, key_file, key_version)
    with (
        said_errors(),
        token_errors(),
        recorded(config, audit_log) as record,
        _place(source, key_file, key_version) as importer,
    ):
        _ceremony(importer, record, config, is_sure=False).recover(check)


def make_key(ceremony: "Ceremony", scheme: tuple[int, int] | None, *, is_sure: bool) -> None:
    """What `init` does, for any place: `scheme` says how many shares of how many, None without recovery.

    Raises what `said_errors` says.
    """
    from proxy.commands.hsm.recovery_terminal import ConsoleTerminal, NoTerminal

    if scheme is None:
        ceremony.generate()
        return
    from certs.recovery.shares import SharingScheme

    chosen = SharingScheme(*scheme)
    ConsoleTerminal.require_output()
    if not is_sure and not ConsoleTerminal.is_one():
        raise NoTerminal
    ceremony.init(chosen)


def _require_one_place(source: SourceOptions, key_file: Path | None, version: int) -> None:
    """Nothing that was said is passed over: the key would be in another place than somebody believes."""
    said = {"--module": source.module, "--token": source.token, "--pin-file": source.pin_file}
    about_token = [option for option, value in said.items() if value is not None]
    about_token += ["--key-version"] if version != 1 else []
    if key_file is not None and about_token:
        raise typer.BadParameter(f"found both; allowed: a token ({', '.join(about_token)}) or --key-file")


@contextmanager
def _place(source: SourceOptions, key_file: Path | None, version: int) -> Iterator["KeyImporter"]:
    """The file, or the token, which this process is logged in to meanwhile."""
    if key_file is not None:
        from certs.sealing.importing import KeyFileImporter

        yield KeyFileImporter(key_file)
        return
    from certs.sealing.sealing_key import TokenKeyImporter

    with logged_in(source.access()) as (process, facts):
        yield TokenKeyImporter(process, facts.label, version)


def _ceremony(importer: "KeyImporter", record: Recorder, config: Path | None, *, is_sure: bool) -> "Ceremony":
    # here: the other commands need nothing of this
    from certs.recovery.ceremony import Ceremony
    from certs.recovery.hardening import harden
    from proxy.commands.hsm.recovery_terminal import ConsoleTerminal

    return Ceremony(importer, ConsoleTerminal(is_sure=is_sure), harden, _of_sealing_key(record), _before(config))


def _before(config: Path | None) -> "SealedBefore | None":
    """The file that the sealing key of a configuration has sealed; None where it names none. Raises `NotChosen`."""
    if config is None:
        return None
    from certs.hierarchy.configured import directory_of
    from certs.hierarchy.vault import FILE_NAME
    from certs.recovery.sealed_before import SealedBefore
    from config.loader import survey

    found = survey(config)
    if found.loaded is None or found.loaded.file.omissions.touch("sealing"):
        about = (
            one for one in found.problems if one.is_error and (found.loaded is None or one.key.startswith("sealing"))
        )
        raise NotChosen("; ".join(map(str, about)))
    return None if found.loaded.config.sealing.key is None else SealedBefore(directory_of(found.loaded) / FILE_NAME)


def _of_sealing_key(record: Recorder) -> "Record":
    """What a ceremony writes to."""

    def write(action: "Action", outcome: "Outcome", detail: str) -> None:
        record(action, "sealing key", outcome, detail)

    return write


@contextmanager
def said_errors() -> Iterator[None]:
    """Say an error in its own words and exit with 1. What is not expected shows no local variable (the default of typer)."""
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
        typer.echo(f"plexigate: {error}", err=True)
        raise typer.Exit(1) from None
