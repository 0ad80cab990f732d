"""`plexigate hsm list`, `generate`, `destroy`, `test` and `unlatch`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, quote_from_bytes

import typer

from certs.hsm.access import TokenAccess, default_latch_directory
from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import DeadlinePassed, TokenSilent
from certs.hsm.facts import KeyAddress, KeyFacts, TokenFacts
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName, next_version
from certs.hsm.process.pin_latch import release_by_name
from certs.hsm.used_versions import UsedVersions, default_versions_directory
from config.values.problems import printable
from proxy.commands.hsm import recovery_commands, rotation_commands, sealing_commands
from proxy.commands.hsm.init_dev import init_dev
from proxy.commands.hsm.recording import recorded
from proxy.commands.hsm.request import request
from proxy.commands.hsm.running import RunningProxy, Unanswered
from proxy.commands.hsm.sources import (
    AsJson,
    Config,
    KeyId,
    Label,
    Module,
    NotChosen,
    PinFile,
    ServedConfig,
    SourceOptions,
    Token,
    key_address,
    logged_in,
    progress,
    said_errors,
)
from proxy.commands.hsm.tables import ListedKeyRow, key_json, key_table, report_table, token_json, token_table, told
from proxy.commands.terminal.answers import answer, write_json, write_table
from proxy.commands.terminal.help_text import WholeSentences

if TYPE_CHECKING:
    from certs.tokens.self_test import Perform

app = typer.Typer(
    name="hsm",
    cls=WholeSentences,
    help="Manage HSM tokens, their keys, and the sealing key.",
    epilog="Example: plexigate hsm list",
    no_args_is_help=True,
)


@app.command(
    "list",
    epilog="Example: plexigate hsm list && plexigate hsm list --module /usr/lib/softhsm/libsofthsm2.so --token plexi --pin-file plexi.pin",
)
def list_(
    config: ServedConfig = None,
    module: Module = None,
    token: Token = None,
    pin_file: PinFile = None,
    final_try: Annotated[bool, typer.Option(help="Log in even if one more wrong PIN locks the token.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the tokens of a PKCS#11 module, and the keys of each token whose PIN
    is known.

    A yellow label does not follow the naming scheme IDENTITY.KIND.vVERSION, or
    its key has the id of another key.
    """
    with said_errors():
        source = SourceOptions.found(config, module, token, pin_file)
        with TokenProcess() as process:
            process.perform(calls.load(source.modules()))
            tokens = process.perform(calls.tokens())
        source.require_there(tokens)
        keys: list[tuple[TokenFacts, list[KeyFacts]]] = []
        silent = False
        for access in source.accesses():
            likely_slot = next((one.slot for one in tokens if access.token.fits(one)), None)
            try:
                with logged_in(access, likely_slot, may_use_final_try=final_try) as (opened, facts):
                    keys.append((facts, opened.perform(calls.keys())))
            except (TokenSilent, DeadlinePassed) as error:
                typer.echo(f"plexigate: {printable(str(error))}", err=True)
                silent = True
    if source.half_login:
        typer.echo(f"plexigate: keys are not listed: {source.half_login}", err=True)
    if as_json:
        of = {facts.slot: [key_json(key) for key in found] for facts, found in keys}
        write_json([{**token_json(one), "keys": of.get(one.slot)} for one in tokens])
    else:
        write_table(token_table(tokens))
        for facts, found in keys:
            write_table(key_table(facts, found))
    if silent:
        raise typer.Exit(1)


@app.command(epilog="Example: plexigate hsm generate chat --kind ecdsa-p256 --token plexi")
def generate(  # noqa: PLR0913 - the options of a command
    identity: Annotated[str, typer.Argument(metavar="IDENTITY", help="Identity that the key is for, such as chat.")],
    kind: Annotated[
        KeyKind, typer.Option(metavar="KIND", help=f"Kind of the key: {', '.join(KeyKind)}.")
    ] = KeyKind.ECDSA_P256,
    config: ServedConfig = None,
    module: Module = None,
    token: Token = None,
    pin_file: PinFile = None,
    as_json: AsJson = False,
) -> None:
    """Generate a key in a token: sensitive, not extractable, for signing only
    (aes-256: for sealing only).

    The key gets the next version of its identity and kind. A version that this
    machine has used before, also for a destroyed key, is never used again. The
    attributes of the new key are read back; if they are not as requested, the key
    is destroyed.
    """
    with said_errors():
        source = SourceOptions.found(config, module, token, pin_file)
        access = source.access()
        with (
            recorded(source.config) as record,
            logged_in(access) as (process, facts),
            progress().status(told(f"making a key of kind {kind} in {facts.label}")),
        ):
            labels = [key.label for key in process.perform(calls.keys())]
            used = UsedVersions(default_versions_directory(), facts)
            name = next_version(identity, kind, [*labels, *used.labels()])
            used.note(name.label)  # noted first: a key whose version cannot be noted must not be made
            with record.operation("generate", _place(facts, name.label)):
                key = process.perform(calls.generate(name))
            made = _Made(facts, key, _public_pem(process, key))
    if kind.is_mldsa and (lack := _lack_of_provider()) is not None:
        typer.echo(f"plexigate: the key signs in its token and serves no clients: {lack}", err=True)
    if as_json:
        write_json(made.as_json())
        return
    write_table(key_table(facts, [key]))
    typer.echo(f"\nkey = {json.dumps(made.uri)}")
    if made.pem:
        typer.echo(f"\n{made.pem}", nl=False)


@app.command(epilog="Example: plexigate hsm destroy chat.ecdsa-p256.v1 --config plexigate.toml --token plexi")
def destroy(  # noqa: PLR0913 - the options of a command
    label: Label,
    key_id: KeyId = None,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    module: Module = None,
    token: Token = None,
    pin_file: PinFile = None,
    socket: Annotated[Path | None, typer.Option(metavar="PATH", help="The admin socket of the running proxy.")] = None,
    is_unverified: Annotated[
        bool,
        typer.Option(
            "--unverified",
            help="Destroy the key even if it cannot be verified that nothing uses it: without --config, or when the "
            "proxy does not answer.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Destroy a private key and its public key in a token, and verify that both
    are gone. This cannot be undone.

    Refused if the configuration (--config) or the running proxy uses the key: for
    an identity, sealing, audit checkpoints or an issuer. Also refused if the
    proxy runs but does not answer. Afterwards
    each worker tries to sign with the key; exits with 1 if one still can.
    """
    source = SourceOptions(config, module, token, pin_file)
    with said_errors():
        address = key_address(label, key_id)
        with recorded(config) as record, logged_in(source.access()) as (process, facts):
            found = [key for key in process.perform(calls.keys()) if _is_meant(key, address)]
            proxy = RunningProxy.of(config, socket)
            with record.operation("destroy", _place(facts, label)):
                for key in found:
                    _refuse_used(source, facts, key)
                    with suppress(Unanswered) if is_unverified else nullcontext():
                        proxy.refuse_used(facts, key)
                question = printable(f"Destroy {address} in token {facts.label}? This cannot be undone.")
                if not is_sure and not typer.confirm(question, err=True):
                    raise NotChosen("nothing was destroyed")
                if found:  # noted first: afterwards the token has no trace of it
                    UsedVersions(default_versions_directory(), facts).note(label)
                gone = process.perform(calls.destroy(address))
        _tell_gone(proxy, facts, gone, as_json=as_json)


@app.command("test", epilog="Example: plexigate hsm test --config plexigate.toml --token plexi --json | jq .measured")
def try_out(
    config: ServedConfig = None,
    module: Module = None,
    token: Token = None,
    pin_file: PinFile = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=60, help="Longest measurement of one operation, in seconds.")
    ] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Test a token and measure its speed, with temporary keys that are destroyed
    at the end.

    Operations that the token cannot do, or that need no private key, are measured
    in software; the table says which. Exits with 1 when a check fails. A missed
    target is shown, but is not a failure.
    """
    from certs.tokens.self_test import SelfTest  # imported here: the other commands start faster without cryptography

    with said_errors():
        source = SourceOptions.found(config, module, token, pin_file)
        access = source.access()
        with recorded(source.config) as record:
            with logged_in(access) as (_, facts):
                pass
            with record.operation("test", f"token {facts.label}"), progress().status("") as status:
                report = SelfTest(
                    facts,
                    lambda: _performing(access),
                    lambda step: status.update(told(f"{facts.label}: {step}")),
                    seconds,
                    _lack_of_provider() or "",
                ).run()
    answer({"token": token_json(facts), **report.as_json()}, lambda: report_table(report), as_json=as_json)
    if not report.is_right:
        raise typer.Exit(1)


@app.command(epilog="Example: plexigate hsm unlatch plexi")
def unlatch(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Label or serial of the token.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let Plexigate try a refused PIN once more, in all its processes on this
    machine.

    When a token refuses a PIN, Plexigate stops using that PIN (it latches it), so
    that more logins cannot lock the token. Exits with 1 if no PIN of that token is
    latched.
    """
    with said_errors(), recorded(config) as record, record.operation("unlatch", f"token {token}"):
        released = release_by_name(default_latch_directory(), token)
        if not released:
            raise NotChosen(f"no PIN of token {token} is latched in {default_latch_directory()}")
    said = printable(f"The PIN of token {released[0]} can be tried again.")
    answer({"released": released}, lambda: said, as_json=as_json)


app.command(
    epilog="Example: plexigate hsm init-dev .dev/hsm && SOFTHSM2_CONF=.dev/hsm/softhsm2.conf plexigate run dev.toml"
)(init_dev)


app.command(
    epilog="Example: plexigate hsm request chat.ecdsa-p256.v1 --name chat.example.org --config plexigate.toml > chat.csr"
)(request)
recovery_commands.register(app)
sealing_commands.register(app)
rotation_commands.register(app)


class _MadeRow(ListedKeyRow):
    token: str
    uri: str
    public_key: str | None


@dataclass(frozen=True, slots=True)
class _Made:
    token: TokenFacts
    key: KeyFacts
    pem: str
    """Its public half; empty for a secret key."""

    @property
    def uri(self) -> str:
        """Its PKCS#11 URI for the configuration (RFC 7512)."""
        return key_uri(self.token, self.key)

    def as_json(self) -> _MadeRow:
        return {**key_json(self.key), "token": self.token.label, "uri": self.uri, "public_key": self.pem or None}


def key_uri(token: TokenFacts, key: KeyFacts) -> str:
    """The RFC 7512 URI of a key: its token by label, its object by label and id."""
    parts = (f"token={quote(token.label, safe='')}", f"object={quote(key.label, safe='')}")
    return f"pkcs11:{';'.join(parts)};id={quote_from_bytes(key.id, safe='')}"


@contextmanager
def _performing(access: TokenAccess) -> Iterator["Perform"]:
    with logged_in(access) as (process, _):
        yield process.perform


def _lack_of_provider() -> str | None:
    from proxy.tls.tokens.mldsa_support import lack_of_provider, provider_file  # as above

    return lack_of_provider(provider_file(None))


def _place(token: TokenFacts, label: str) -> str:
    """The name of a key in the audit log."""
    return f"pkcs11:token={quote(token.label, safe='')};object={quote(label, safe='')}"


def _public_pem(process: TokenProcess, key: KeyFacts) -> str:
    if TokenKeyName.parse(key.label) is None or KeyKind(key.kind).is_secret:
        return ""
    from certs.keys.token_public_key import pem_of, public_key_of  # as above

    return pem_of(public_key_of(process.perform(calls.public_parts(KeyAddress(key.label, key.id)))))


def _is_meant(key: KeyFacts, address: KeyAddress) -> bool:
    return key.label == address.label and address.id in (None, key.id)


def _refuse_used(source: SourceOptions, token: TokenFacts, key: KeyFacts) -> None:
    configured = source.configured()
    for used in configured.keys if configured is not None else ():
        if used.is_about(token, key):
            allowed = "a key that no credential names; remove it from the configuration and reload first"
            raise NotChosen(
                f"{source.config}: {used.where} uses {key.label} of token {token.label}; allowed: {allowed}"
            )


def _tell_gone(proxy: RunningProxy, token: TokenFacts, key: KeyFacts, *, as_json: bool) -> None:
    """Report that a key is gone, and what the workers answer. Raises `NotChosen` if a worker may
    still sign with it.
    """
    if not as_json:
        typer.echo(printable(f"{key.label} (id {key.id.hex()}) of token {token.label} is gone."))
        typer.echo(proxy.verify_gone(token, key))
        return
    told = {"label": key.label, "id": key.id.hex(), "token": token.label, "uri": key_uri(token, key)}
    try:
        workers = proxy.verify_gone(token, key)
    except NotChosen as error:  # the key is gone from the token even so
        write_json({**told, "ok": False, "workers": str(error)})
        raise
    write_json({**told, "ok": True, "workers": workers})
