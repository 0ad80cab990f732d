"""`plexigate certs trust` and `plexigate certs check`: make clients trust certificates, and check
what they see.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from certs.identities.chain_file import read_chain
from certs.rotation.facts import chain_of
from certs.rotation.parts import parts_of
from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from config.schema import IssuedCredentialConfig
from config.values.addresses import Bind, parse_bind
from config.values.problems import ConfigError, Problem, shown
from proxy.admin.client import connect
from proxy.api.certificates import ShownDocument, ShownRow
from proxy.commands.certs.targets import offline_of, said_errors
from proxy.commands.terminal.asking import SocketOption, ended, served_file
from proxy.commands.terminal.output_file import PUBLIC_MODE, write_for_person
from proxy.rotation.clocks import CLOCKS
from proxy.rotation.live_check import LiveSubject
from proxy.tls.wire.groups import are_foreign, groups_in

if TYPE_CHECKING:
    from certs.issuing.internal_ca.authority import InternalAuthority
    from proxy.api.status import StatusDocument
    from proxy.rotation.live_check import LiveFinding
    from proxy.rotation.offline import Offline


# ruff: noqa: PLR0913 - the signature of typer commands

_CRL = b"-----BEGIN X509 CRL-----"

_File = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The configuration. Default: that of the running proxy.")
]


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: plexigate certs trust internal --out root.pem")(trust)
    app.command(epilog="Example: plexigate certs check chat && echo fine")(check)


def trust(
    issuer: Annotated[str, typer.Argument(metavar="ISSUER", help="NAME of [issuer.NAME], type internal.")],
    config: _File = None,
    socket: SocketOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the root certificate to this file. Default: plexigate-ISSUER.pem"),
    ] = None,
    crl: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the certificate revocation list.")
    ] = None,
    take_root_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Move the private key of the root to this file, for storage off this machine."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files that have another content.")] = False,
) -> None:
    """Write the root certificate of an internal CA, and explain how to trust it
    in Debian, browsers, curl, Python and Java.
    """
    with said_errors():
        offline, authority = _authority(issuer, config or served_file(socket))
        _trust(offline, authority, out or Path(f"plexigate-{issuer}.pem"), crl, replaces=force)
        if take_root_key is not None:
            _take_root_key(offline, authority, take_root_key)


def _authority(issuer: str, config: Path) -> "tuple[Offline, InternalAuthority]":
    """The internal CA; its root is made if there is none yet."""
    from certs.issuing.internal_ca.authority import InternalAuthority

    offline = offline_of(config)
    authority = offline.parts.issuers.get(issuer)
    if not isinstance(authority, InternalAuthority):
        raise ended(f"{config} has no issuer {issuer} of type internal")
    if not authority.has_root:
        with offline.alone():
            _ = authority.roots
    return offline, authority


def _trust(offline: "Offline", authority: "InternalAuthority", out: Path, crl: Path | None, *, replaces: bool) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    from proxy.commands.certs.trust import trust_text

    (root,) = authority.roots
    write_for_person(out, root.public_bytes(Encoding.PEM), replaces=replaces, mode=PUBLIC_MODE)
    settings = offline.parts.loaded.config
    names = tuple(name for identity in settings.identity.values() for name in identity.names)
    typer.echo(trust_text(authority.name, root, out, names, authority.permitted_names))
    if crl is not None:
        # a list is renewed regularly: an older one may be overwritten
        write_for_person(
            crl,
            authority.revocation_list(),
            replaces=replaces,
            is_former=lambda there: there.startswith(_CRL),
            mode=PUBLIC_MODE,
        )


def _take_root_key(offline: "Offline", authority: "InternalAuthority", file: Path) -> None:
    from certs.issuing.internal_ca.root_key import take_root_key

    take_root_key(authority, file, offline.parts.store.disk)
    typer.echo(
        f"The private key of the root is now in {file}, and removed from this machine's state. Keep it and a copy on offline media."
    )
    typer.echo(f"When the next intermediate is due, name its path in issuer.{authority.name}.root_key.")


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="NAME of [identity.NAME].")],
    config: _File = None,
    socket: SocketOption = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Roots to verify certificates that come from files. Default: the system's roots."
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live/--no-live", help="Also make a TLS handshake with each worker of the running proxy.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Check the certificates of an identity as a client does: chain, names,
    dates, strength, and TLS handshakes.

    Exits with 0 when a client can trust them, with 1 when it cannot.
    """
    with said_errors():
        found = list(_checked(name, config or served_file(socket), socket, ca, live=live))
    if as_json:
        typer.echo(json.dumps([one.as_json() for one in found], indent=2))
    for one in [] if as_json else found:
        mark = {True: "FAULT", False: "ok", None: "note"}[one.is_fault]
        typer.echo(f"{mark:5}  {one.about}: {one.text}")
    if any(one.is_fault for one in found):
        raise typer.Exit(1)


def _checked(name: str, config: Path, socket: Path | None, ca: Path | None, *, live: bool) -> "Iterator[LiveFinding]":
    from proxy.commands.certs.trust import listening, shown_by_workers, subjects
    from proxy.rotation.clocks import CLOCKS
    from proxy.rotation.live_check import chain_findings, handshake_finding, worker_findings

    loaded, found = subjects(config, name, ca)
    for subject in found:
        yield from chain_findings(subject, CLOCKS.wall())
    if live:
        for address in listening(loaded, socket):
            yield from (handshake_finding(subject, address) for subject in found)
        rows = shown_by_workers(loaded, socket, name)
        for subject in found:
            yield from worker_findings(subject, rows)


_TEXT: Final = """\
{file}: the root of issuer {issuer}
  {subject}
  valid until {until:%Y-%m-%d}, SHA-256 fingerprint
  {fingerprint}
Compare the fingerprint over another way before you trust it: the owner of its key can be any server to you{limits}.

Debian, Ubuntu   cp {file} /usr/local/share/ca-certificates/plexigate-{issuer}.crt && update-ca-certificates
                 (curl, wget, Python's ssl with the system's store and most programs follow; undo: remove it, update-ca-certificates --fresh)
Chromium         certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n plexigate-{issuer} -i {file}      (Debian: libnss3-tools)
Firefox          Settings, Privacy & Security, Certificates, View Certificates, Authorities, Import; or for all users the policy
                 Certificates.Install in /etc/firefox/policies/policies.json
curl             curl --cacert {file} https://{name}/
Python           ssl.create_default_context(cafile="{file}"); requests: verify="{file}", or REQUESTS_CA_BUNDLE={file}
Java             keytool -importcert -cacerts -alias plexigate-{issuer} -file {file}
"""


def trust_text(
    issuer: str, root: x509.Certificate, file: Path, names: tuple[str, ...], permitted: tuple[str, ...]
) -> str:
    """What to do with the file of a root. `names` are examples of names in its certificates."""
    digest = root.fingerprint(hashes.SHA256()).hex().upper()
    return _TEXT.format(
        file=file,
        issuer=issuer,
        subject=root.subject.rfc4514_string(),
        until=root.not_valid_after_utc,
        fingerprint=":".join(digest[place : place + 2] for place in range(0, len(digest), 2)),
        limits=f", for the names {', '.join(permitted)}, to which its intermediates are limited" if permitted else "",
        name=next((one for one in names if not one.startswith("*.")), "NAME"),
    )


def subjects(file: Path, name: str, ca: Path | None) -> tuple[LoadedConfig, list[LiveSubject]]:
    """The chains of an identity, from files and from the store; `ca` holds the roots for those from
    files.

    Raises `ConfigError`, `CredentialError`, `ShelfDamaged`, `IssueFailed` or `OSError`.
    """
    loaded = load(file)
    if name not in loaded.config.identity:
        known = ", ".join(loaded.config.identity)
        raise ConfigError([Problem(str(file), f"identity.{name}", f"no identity {shown(name)}", f"one of {known}")])
    return loaded, list(_subjects(loaded, name, ca))


def _subjects(loaded: LoadedConfig, name: str, ca: Path | None) -> Iterator[LiveSubject]:
    parts = parts_of(loaded, CLOCKS.wall)
    identity = loaded.config.identity[name]
    for one in identity.credentials:
        if not isinstance(one, IssuedCredentialConfig):
            roots = () if ca is None else read_chain(ca)
            yield LiveSubject(
                f"{name} {one.certificate}", read_chain(loaded.file.resolve(one.certificate)), identity.names, roots
            )
            continue
        assert parts is not None  # ensured by the crosschecks
        version = parts.store.shelf(name, one.key.slot).current()
        if version is None:
            found = f"{one.key}, whose certificate is not issued yet"
            allowed = f"plexigate certs rotate {name}"
            raise ConfigError([Problem(str(loaded.file.path), f"identity.{name}", found, allowed)])
        yield LiveSubject(f"{name} {one.key}", chain_of(version), identity.names, parts.issuers[one.issuer].roots)


def listening(loaded: LoadedConfig, socket: Path | None) -> list[Bind]:
    """Where the running proxy listens, with groups that this process has too.

    Raises `AdminUnreachable` or `AdminRefused`.
    """
    status: StatusDocument = _answer(loaded, socket, "/status")
    tried = (one for one in status["listeners"] if not are_foreign(groups_in(one["groups"])))
    return [parse_bind(text) for one in tried for text in one["addresses"]]


def shown_by_workers(loaded: LoadedConfig, socket: Path | None, name: str) -> list[ShownRow]:
    """What each worker shows for an identity. Raises `AdminUnreachable` or `AdminRefused`."""
    shown: ShownDocument = _answer(loaded, socket, f"/certificates/{quote(name, safe='')}/live")
    return shown["shown"]


def _answer(loaded: LoadedConfig, socket: Path | None, path: str) -> Any:
    client = connect(loaded.file.path, socket)
    return client.agreed(client.get(path))
