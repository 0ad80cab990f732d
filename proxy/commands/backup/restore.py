"""`plexigate backup restore`: a backup onto a machine that has nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from certs.backup.keys import signer_id
from config.values.problems import printable, shown
from proxy.commands.backup.errors import said_errors
from proxy.commands.backup.progress import progress
from proxy.commands.backup.tables import left_out_document, left_out_lines
from proxy.commands.hsm.recording import recorded
from proxy.commands.hsm.sources import Module, NotChosen, PinFile, SourceOptions, Token
from proxy.commands.hsm.sources import said_errors as token_errors
from proxy.commands.terminal.answers import answer
from proxy.commands.terminal.asking import JsonOption

if TYPE_CHECKING:
    from certs.backup.index import Index
    from certs.backup.manifest import Manifest
    from certs.backup.opened import OpenBackup
    from certs.sealing.master import KeyInToken

_SHOWN: Final = 12
_FLEET_FILE: Final = "fleet.sealed"
_HOW: Final = (
    "give what opens the backup: the sealing key, which plexigate hsm recover brings back from its shares (--module, --token "
    "and --pin-file, or --sealing-key FILE), or a private key of backup key (--key FILE)"
)

Signer = Annotated[str | None, typer.Option(metavar="HEX", help="Require this signer, as backup create showed it.")]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog="Example: plexigate backup restore plexigate.pxbackup --module /usr/lib/softhsm/libsofthsm2.so --token plexi --pin-file plexi.pin"
    )(restore)


def restore(  # noqa: PLR0913 - the options of a command
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Private key that opens the backup, as backup key wrote it. Needs --signer."),
    ] = None,
    sealing_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sealing key in a file, as hsm recover --key-file wrote it.")
    ] = None,
    module: Module = None,
    token: Token = None,
    pin_file: PinFile = None,
    signer: Signer = None,
    replaces: Annotated[
        bool, typer.Option("--replace", help="Remove the configuration and the state that are there, for good.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Restore the configuration and all state from a backup, to the paths where
    they were.

    First bring the sealing key back from its shares (hsm recover), into the new
    token or file; it opens the backup. Everything is read and verified, and the
    signer and the paths are shown, before anything is written. All is put in place
    when it is on the disk. If the command is interrupted, run it again.

    The proxy must be stopped. At its start it makes new keys for those that are
    lost with a token, and orders certificates for them. Exits with 1, and has
    changed nothing, if the backup cannot be opened or there is state already.
    """
    from certs.backup.opened import OpenBackup
    from certs.backup.restoring import Restoration

    source = SourceOptions(None, module, token, pin_file)
    with said_errors(), token_errors(), OpenBackup.at(file) as backup:
        manifest = backup.manifest
        converted = manifest.conversions()
        with progress("verifying", manifest.written.body_bytes) as told:
            backup.verify(told)
        _require_signer(manifest, signer, is_by_key=key is not None)
        places: list[str] = []
        names: set[str] = set()

        def announced(index: "Index") -> None:
            places.extend(_announced(manifest, index))
            names.update(Path(one.path).name for one in index.files)

        with progress("restoring", 2 * manifest.size) as told:
            Restoration(backup, told).run(
                lambda: _secret(backup, (key, sealing_key, source)),
                announced,
                replaces=replaces,
            )
        _record(file, manifest)
    document = {
        "signer": signer_id(manifest.signer),
        "places": places,
        "files": manifest.files,
        "configuration": manifest.configuration,
        "converted": converted,
        "left_out": left_out_document(manifest.left_out),
    }
    is_of_fleet = _FLEET_FILE in names
    answer(document, lambda: _restored_text(manifest, converted, is_of_fleet=is_of_fleet), as_json=as_json)


def _secret(backup: "OpenBackup", given: tuple[Path | None, Path | None, SourceOptions]) -> bytes:
    from certs.backup.unsealing import secret_by_sealing_key
    from certs.sealing.recipients import KeyUnreadable, PrivateRecipient
    from config.loading.reading import read_regular

    key, sealing_key, source = given
    ways = [key is not None, sealing_key is not None, source.module is not None]
    if ways.count(True) != 1:
        raise NotChosen(f"found {ways.count(True) or 'none'} of the ways to open the backup; allowed: {_HOW}")
    if key is not None:
        try:
            return backup.header.opened([PrivateRecipient.parse(read_regular(key, 65_536).content)])
        except KeyUnreadable as error:
            raise NotChosen(f"{key}: {error}") from None
    return secret_by_sealing_key(backup, sealing_key if sealing_key is not None else _in_token(backup, source))


def _in_token(backup: "OpenBackup", source: SourceOptions) -> "KeyInToken":
    """The newest of the sealing keys that is there, or else of all. Raises `NoRecoveryKey`."""
    from certs.backup.unsealing import NoRecoveryKey, sealing_keys_of
    from certs.hsm.facts import KeyAddress
    from certs.sealing.master import KeyInToken, Master

    names = sealing_keys_of(backup.header)
    if not names:
        raise NoRecoveryKey
    newest = KeyInToken(source.access(), KeyAddress(None, names[0]))
    label = Master(newest).beside(names)
    return newest if label is None else KeyInToken(newest.access, KeyAddress(label))


def _announced(manifest: "Manifest", index: "Index") -> list[str]:
    """What a restore writes, after a person was told: directories of state, and other files."""
    files = [one.path for one in index.files if not any(one.path.startswith(f"{state}/") for state in manifest.states)]
    places = [*manifest.states, *files]
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    shown = ", ".join(map(printable, places[:_SHOWN]))
    typer.echo(f"Signer: {signer_id(manifest.signer)}\nThis restores {shown}{more}.", err=True)
    return places


def _require_signer(manifest: "Manifest", signer: str | None, *, is_by_key: bool) -> None:
    if is_by_key and signer is None:
        raise NotChosen(
            "found --key without --signer: who has the backup and a public key can sign another one, for other places; "
            f"allowed: --signer HEX, as backup create showed it; {signer_id(manifest.signer)} signed this one"
        )
    if (other := other_signer(manifest, signer)) is not None:
        raise NotChosen(f"the backup was {other}")


def other_signer(manifest: "Manifest", signer: str | None) -> str | None:
    """A clause about who signed a backup, if that is not the `signer` of an option."""
    found = signer_id(manifest.signer)
    return None if signer is None or signer.lower() == found else f"signed by {found}; allowed: {shown(signer.lower())}"


def _record(file: Path, manifest: "Manifest") -> None:
    with recorded(Path(manifest.configuration)) as record:
        record("import", f"backup {file}", "done", f"of {manifest.made_at.isoformat()}, {manifest.files} files")


def _restored_text(manifest: "Manifest", converted: Sequence[str], *, is_of_fleet: bool = False) -> str:
    lines = [
        f"{manifest.files:,} files of {printable(manifest.node)} are restored, as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC.",
        *left_out_lines(manifest.left_out),
    ]
    if converted:
        lines.append(f"The start converts {', '.join(converted)}.")
    if is_of_fleet:
        lines.append(
            "It is a node of a fleet: it takes what etcd has since then, and writes nothing older. It cannot tell whether "
            "etcd was restored too: look at plexigate fleet status on another node."
        )
    lines.append(f"Next: plexigate check {printable(manifest.configuration)}, and start the proxy.")
    return "\n".join(lines)
