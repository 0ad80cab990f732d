"""`plexigate certs trust` and `plexigate certs check`: make clients trust certificates, and check
what they see.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.commands.certs.targets import offline_of, said_errors
from proxy.commands.terminal.asking import SocketOption, ended, served_file
from proxy.commands.terminal.output_file import PUBLIC_MODE, write_for_person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from certs.issuing.internal_ca.authority import InternalAuthority
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

    from proxy.commands.certs.trust_text import trust_text

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
        bool,
        typer.Option(
            "--live/--no-live",
            help="Also fetch revocation lists, and make a TLS handshake with each worker of the running proxy.",
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Check the certificates of an identity as a client does: chain, names,
    dates, strength, timestamps of logs, revocation lists, and TLS handshakes.

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
    from proxy.commands.certs.subjects import listening, shown_by_workers, subjects
    from proxy.rotation.clocks import CLOCKS
    from proxy.rotation.live_check import (
        chain_findings,
        handshake_finding,
        list_findings,
        timestamp_findings,
        worker_findings,
    )
    from proxy.trust.timestamp_check import log_list_path

    loaded, found = subjects(config, name, ca)
    for subject in found:
        yield from chain_findings(subject, CLOCKS.wall())
        yield from timestamp_findings(subject, log_list_path(loaded), CLOCKS.wall())
    if live:
        for subject in found:
            yield from list_findings(subject, CLOCKS.wall())
        for address in listening(loaded, socket):
            yield from (handshake_finding(subject, address) for subject in found)
        rows = shown_by_workers(loaded, socket, name)
        for subject in found:
            yield from worker_findings(subject, rows)
