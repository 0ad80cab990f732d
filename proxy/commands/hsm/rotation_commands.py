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
from proxy.commands.hsm.recording import Recorder, now, recorded
from proxy.commands.hsm.recovery_commands import (
    HasRecovery,
    IsSure,
    Shares,
    Threshold,
    make_key,
    of_sealing_key,
    said_errors,
)
from proxy.commands.hsm.sources import AsJson, NotChosen, SourceOptions, logged_in
from proxy.commands.hsm.sources import said_errors as token_errors
from proxy.commands.hsm.vault import configured_vault, said_sealing_errors
from proxy.commands.terminal.answers import answer

if TYPE_CHECKING:
    from certs.hierarchy.document import Document
    from certs.sealing.importing import KeyImporter
    from certs.sealing.sealer import SealingKey

_KEPT: Final = timedelta(days=30)
_SHORTEST_KEPT: Final = timedelta(hours=1)  # in which a person names the new key, and reloads
_LONGEST_KEPT: Final = timedelta(days=365)
_ENDING: Final = frozenset({"config", "ends_previous", "is_sure", "as_json"})
_TAKES: Final = "--take, if it was made for this, as by a rotation that was interrupted"


def register(app: typer.Typer) -> None:
    app.command(
        "rotate-sealing",
        epilog="Example: plexigate hsm rotate-sealing --config plexigate.toml --threshold 3 --shares 5",
    )(rotate_sealing)


def rotate_sealing(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
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
    threshold: Threshold = 3,
    shares: Shares = 5,
    has_recovery: HasRecovery = True,
    ends_previous: Annotated[
        bool, typer.Option("--end-previous", help="Make no key: let the previous one open nothing from now on.")
    ] = False,
    is_sure: IsSure = False,
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
            _require_alone(context)
            ended = [one.name for one in vault.end_previous()]
            answer({"ended": ended}, lambda: _ended(ended), as_json=as_json)
            return
        kept = _kept(keep)
        scheme = (threshold, shares) if has_recovery and not takes else None
        if as_json and scheme is not None:
            raise NotChosen("--json: found shares to show, which are for people; allowed: --no-recovery, or --take")
        document = vault.read()  # opened by the present key, or nothing is made
        present = document.sealing_keys[0]
        if not vault.is_by(present):
            raise NotChosen(
                f"{config}: sealing.key: found the previous sealing key; allowed: {present.name}, which took its place"
            )
        ends = [one.name for one in document.sealing_keys[1:] if one.until is not None and one.until > now()]
        if ends and not (
            is_sure
            or typer.confirm(f"{', '.join(ends)} still opens what is sealed, and will no more. Go on?", err=True)
        ):
            raise NotChosen("nothing was changed")
        with _place(config, token, key_file, document, takes=takes) as place:
            sealer = place.taken() if takes else _made(place.importer, record, scheme, is_sure=is_sure)
            previous, *ended_keys = vault.succeed(sealer, place.name, now() + kept)
    ended = [one.name for one in ended_keys]
    until = previous.until or now()
    lines = [
        f"{place.name} is the sealing key now. {previous.name} still opens what is sealed until {until:%Y-%m-%d %H:%M} UTC.",
        *([_ended(ended)] if ended else []),
        f"Before that, set in {config}, and reload:\n\n[sealing]\nkey = {json.dumps(place.name)}",
    ]
    answer(
        {"key": place.name, "previous": previous.name, "until": until.isoformat(), "ended": ended},
        lambda: "\n".join(lines),
        as_json=as_json,
    )


def _require_alone(context: typer.Context) -> None:
    """Refuse what --end-previous would ignore, also a value that is the default. Raises
    `BadParameter`.
    """
    given = [
        "/".join([*one.opts, *one.secondary_opts])
        for one in context.command.params
        if one.name not in _ENDING and str(context.get_parameter_source(str(one.name))).endswith("COMMANDLINE")
    ]
    if given:
        raise typer.BadParameter(f"found {', '.join(given)} with --end-previous, which makes no key; allowed: either")


@dataclass(frozen=True, slots=True)
class _NewKey:
    """Where the new key is, or will be. `name` is that of the key in a configuration."""

    name: str
    importer: "KeyImporter"
    taken: "Callable[[], SealingKey]"
    """Seals by the key that is there already."""


@contextmanager
def _place(
    config: Path, token: str | None, key_file: Path | None, document: "Document", *, takes: bool
) -> Iterator[_NewKey]:
    """A file, or a token that this process is logged in to meanwhile. Raises `NotChosen`."""
    if key_file is not None:
        if token is not None:
            raise typer.BadParameter("found both; allowed: either --token or --key-file")
        if not takes and key_file.exists():
            raise NotChosen(f"{key_file} is there already; allowed: {_TAKES}; or a new file")
        from certs.sealing.key_file import KeyFileImporter

        yield _NewKey(str(key_file.resolve()), KeyFileImporter(key_file), lambda: _in_file(key_file))
        return
    from certs.sealing.master import KeyInToken
    from certs.sealing.sealing_key import TokenKeyImporter, sealer_in_token

    access = SourceOptions(config, None, token or _token_of(config), None).access()
    with logged_in(access) as (process, facts):
        name = _name(process, facts, document, takes=takes)
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


def _name(process: TokenProcess, facts: TokenFacts, document: "Document", *, takes: bool) -> TokenKeyName:
    """The key that is to be made in a token, or taken. Raises `NotChosen`."""
    from certs.sealing.sealing_key import IDENTITY, kind_in, label_in_token, named_version, sealing_key_name

    kind = kind_in(facts)
    labels = [key.label for key in process.perform(calls.keys())]
    names = [name for one in labels if (name := TokenKeyName.parse(one)) is not None and name.identity == IDENTITY]
    present_name = TokenKeyName.parse(label_in_token(process, (document.sealing_keys[0].id,)) or "")
    newer = [one for one in names if one.kind is kind and (present_name is None or one.version > present_name.version)]
    if takes:
        if not newer:
            raise NotChosen(f"token {facts.label} has no newer sealing key; allowed: without --take, which makes one")
        return max(newer)
    if newer:
        raise NotChosen(
            f"token {facts.label} has {max(newer)}, which seals nothing here; allowed: {_TAKES}; or destroy it first "
            "(plexigate hsm destroy)"
        )
    used = UsedVersions(default_versions_directory(), facts)
    # in another token too: a key that comes back under a name of before would open other files
    had = [sealing_key_name(version).label for one in document.had if (version := named_version(one)) is not None]
    name = next_version(IDENTITY, kind, [*labels, *used.labels(), *had])
    used.note(name.label)
    return name


def _in_file(path: Path) -> "SealingKey":
    from certs.sealing.key_file import KeyFileUnusable, load_key
    from certs.sealing.sealer import AeadSealer

    try:
        return AeadSealer(load_key(path))
    except KeyFileUnusable as error:
        raise NotChosen(str(error)) from None


def _made(importer: "KeyImporter", record: Recorder, scheme: tuple[int, int] | None, *, is_sure: bool) -> "SealingKey":
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
    if not _SHORTEST_KEPT <= kept <= _LONGEST_KEPT:
        bounds = f"from {written(_SHORTEST_KEPT)} to {written(_LONGEST_KEPT)}"
        raise NotChosen(f'--keep: found {text!r}; allowed: a time {bounds}, such as "30d"')
    return kept


def _ended(names: list[str]) -> str:
    if not names:
        return "There was no previous sealing key."
    return f"What is sealed here is not opened any more by {', '.join(names)}."
