"""`plexigate hsm rotate-sealing`: another version of the sealing key, in place of the present one.

The order matters. The present key opens the keys below it before another one is made. The new key
is in its place, and its shares are confirmed, before `keys.sealed` knows it. That file is replaced
as a whole. So the present key opens the file at each moment, wherever the command is interrupted.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.facts import KeyAddress, TokenFacts
from certs.hsm.key_names import TokenKeyName, next_version
from certs.hsm.used_versions import UsedVersions, default_versions_directory
from config.values.addresses import Refused
from config.values.durations import parse_duration, written
from config.values.pkcs11_uri import Pkcs11Uri
from proxy.commands.hsm.recording import Recorder, recorded
from proxy.commands.hsm.recovery_commands import make_key, of_sealing_key, said_errors
from proxy.commands.hsm.sources import AsJson, NotChosen, SourceOptions, logged_in
from proxy.commands.hsm.sources import said_errors as token_errors
from proxy.commands.hsm.vault import configured_vault, now, said_sealing_errors
from proxy.commands.terminal.answers import answer

if TYPE_CHECKING:
    from certs.sealing.importing import KeyImporter
    from certs.sealing.sealer import Sealer

_KEPT: Final = timedelta(days=30)
_LONGEST_KEPT: Final = timedelta(days=365)


def register(app: typer.Typer) -> None:
    app.command(
        "rotate-sealing",
        epilog="Example: plexigate hsm rotate-sealing --config plexigate.toml --threshold 3 --shares 5",
    )(rotate_sealing)


def rotate_sealing(  # noqa: PLR0913 - the options of a command
    config: Annotated[Path, typer.Option(metavar="FILE", help="Configuration with [sealing].")],
    token: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="NAME of [hsm.token.NAME] for the new key. Default: the token of the present key."
        ),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Store the new key in this new file instead of a token.")
    ] = None,
    takes: Annotated[
        bool, typer.Option("--take", help="Take the newest version that is there already, and make none.")
    ] = False,
    keep: Annotated[
        str, typer.Option(metavar="TIME", help="How long the present key still opens what is sealed.")
    ] = written(_KEPT),
    threshold: Annotated[int, typer.Option(min=2, max=16, help="How many shares are needed to recover the key.")] = 3,
    shares: Annotated[int, typer.Option(min=2, max=16, help="How many shares are made.")] = 5,
    has_recovery: Annotated[
        bool,
        typer.Option(
            "--recovery/--no-recovery",
            help="Make the key in memory and split it into shares; or make it in the token or file, without shares.",
        ),
    ] = True,
    ends_previous: Annotated[
        bool, typer.Option("--end-previous", help="Make no key: let the previous one open nothing from now on.")
    ] = False,
    is_sure: Annotated[bool, typer.Option("--yes", help="Ask no questions, and write all shares at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replace the sealing key by its next version, with new recovery shares, also
    while the proxy runs.

    The command makes sealing.aes-256.vN+1 in the token (--take: takes one that was
    made before), and seals keys.sealed with it. The present key still opens that
    file for the time of --keep. Until then, name the new key as sealing.key and
    reload; no restart is needed. Then the running proxy, or --end-previous, lets the
    previous key open nothing more: destroy it (plexigate hsm destroy). Shares of the
    previous key do not restore the new one.
    """
    with said_sealing_errors(), said_errors(), token_errors(), recorded(config) as record:
        vault = configured_vault(config, record)
        if ends_previous:
            ended = [one.name for one in vault.end_previous()]
            answer({"ended": ended}, lambda: _ended(ended), as_json=as_json)
            return
        kept = _kept(keep)
        document = vault.read()  # opened by the present key, or nothing is made
        present = document.sealing_keys[0]
        if not vault.is_by(present):
            raise NotChosen(
                f"{config}: sealing.key: found the previous sealing key; allowed: {present.name}, which took its place"
            )
        with _place(config, token, key_file, present.id, takes=takes) as place:
            scheme = (threshold, shares) if has_recovery else None
            sealer = place.taken() if takes else _made(place.importer, record, scheme, is_sure=is_sure)
            previous = vault.succeed(sealer, place.name, now() + kept)
    until = previous.until or now()
    answer(
        {"key": place.name, "previous": previous.name, "until": until.isoformat()},
        lambda: (
            f"{place.name} is the sealing key now. {previous.name} still opens what is sealed until "
            f"{until:%Y-%m-%d %H:%M} UTC.\nBefore that, set in {config}, and reload:\n\n"
            f"[sealing]\nkey = {json.dumps(place.name)}"
        ),
        as_json=as_json,
    )


@dataclass(frozen=True, slots=True)
class _NewKey:
    """Where the new key is, or will be. `name` is that of the key in a configuration."""

    name: str
    importer: "KeyImporter"
    taken: "Callable[[], Sealer]"
    """Seals by the key that is there already."""


@contextmanager
def _place(config: Path, token: str | None, key_file: Path | None, present: bytes, *, takes: bool) -> Iterator[_NewKey]:
    """A file, or a token that this process is logged in to meanwhile. Raises `NotChosen`."""
    if key_file is not None:
        if token is not None:
            raise typer.BadParameter("found both; allowed: either --token or --key-file")
        from certs.sealing.key_file import KeyFileImporter

        yield _NewKey(str(key_file.resolve()), KeyFileImporter(key_file), lambda: _in_file(key_file))
        return
    from certs.sealing.master import KeyInToken
    from certs.sealing.sealing_key import TokenKeyImporter, sealer_in_token

    access = SourceOptions(config, None, token or _token_of(config), None).access()
    with logged_in(access) as (process, facts):
        name = _name(process, facts, present, takes=takes)
        address = KeyAddress(name.label)
        yield _NewKey(
            str(KeyInToken(access, address).uri),
            TokenKeyImporter(process, facts, name.version),
            lambda: sealer_in_token(process, address),
        )


def _token_of(config: Path) -> str:
    """The NAME of the token of the present key. Raises `NotChosen` where that is a file."""
    from config.loading.loader import survey

    loaded = survey(config).loaded
    key = None if loaded is None else loaded.config.sealing.key
    if loaded is None or loaded.config.hsm is None or not isinstance(key, Pkcs11Uri):
        raise NotChosen("the present sealing key is a file; allowed: --key-file FILE, or --token NAME, for the new one")
    return loaded.config.hsm.tokens_of(key)[0]


def _name(process: TokenProcess, facts: TokenFacts, present: bytes, *, takes: bool) -> TokenKeyName:
    """The key that is to be made in a token, or taken. Raises `NotChosen`."""
    from certs.sealing.sealing_key import IDENTITY, kind_in, label_in_token

    kind = kind_in(facts)
    labels = [key.label for key in process.perform(calls.keys())]
    names = [name for one in labels if (name := TokenKeyName.parse(one)) is not None and name.identity == IDENTITY]
    present_name = TokenKeyName.parse(label_in_token(process, (present,)) or "")
    newer = [one for one in names if one.kind is kind and (present_name is None or one.version > present_name.version)]
    if takes:
        if not newer:
            raise NotChosen(f"token {facts.label} has no newer sealing key; allowed: without --take, which makes one")
        return max(newer)
    if newer:
        raise NotChosen(
            f"token {facts.label} has {max(newer)}, which seals nothing here; allowed: --take, if it was made for this, "
            "as by a rotation that was interrupted; or destroy it first (plexigate hsm destroy)"
        )
    used = UsedVersions(default_versions_directory(), facts)
    name = next_version(IDENTITY, kind, [*labels, *used.labels()])
    used.note(name.label)
    return name


def _in_file(path: Path) -> "Sealer":
    from certs.sealing.key_file import KeyFileUnusable, load_key
    from certs.sealing.sealer import AeadSealer

    try:
        return AeadSealer(load_key(path))
    except KeyFileUnusable as error:
        raise NotChosen(str(error)) from None


def _made(importer: "KeyImporter", record: Recorder, scheme: tuple[int, int] | None, *, is_sure: bool) -> "Sealer":
    """A new key in its place, with the shares of people, where these are wanted."""
    from certs.recovery.ceremony import Ceremony
    from certs.recovery.hardening import harden
    from proxy.commands.hsm.recovery_terminal import ConsoleTerminal

    ceremony = Ceremony(importer, ConsoleTerminal(is_sure=is_sure), harden, of_sealing_key(record))
    return make_key(ceremony, scheme, is_sure=is_sure)


def _kept(text: str) -> timedelta:
    try:
        kept = parse_duration(text)
    except Refused:
        kept = timedelta()
    if not timedelta() < kept <= _LONGEST_KEPT:
        raise NotChosen(f'--keep: found {text!r}; allowed: a time up to {written(_LONGEST_KEPT)}, such as "30d"')
    return kept


def _ended(names: list[str]) -> str:
    if not names:
        return "There was no previous sealing key."
    return f"What is sealed here is not opened any more by {', '.join(names)}."
