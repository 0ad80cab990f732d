"""The issuers of certificates: an ACME server is asked for its directory, a CA of ours is read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

from certs.acme.client.accounts import FileAccountStore
from certs.acme.client.messages import AcmeDocumentUnreadable, Directory, directory_of
from certs.acme.client.wire import CaUnreachable, Wire, WireSettings
from certs.acme.problems import AcmeProblem, printable
from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.issuer import IssueFailed
from certs.keys.home import HomeFailed
from certs.rotation.parts import ACCOUNTS, parts_of
from certs.storage.shelf import ShelfDamaged
from config.loading.loaded import LoadedConfig
from config.schema import Config
from config.tables.issuers import AcmeChallenge, AcmeIssuerConfig
from config.tables.rotation import InternalIssuerConfig
from config.values.addresses import Bind
from config.values.problems import ConfigError
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.machine.clock import clock_finding
from proxy.doctor.machine.ports import running_binds
from proxy.doctor.side_by_side import side_by_side

_ISSUERS: Final = Judge("issuers")
_CHALLENGES: Final = Judge("ACME challenges")
_SECONDS: Final = 10.0
_PORTS: Final = {AcmeChallenge.HTTP_01: 80, AcmeChallenge.TLS_ALPN_01: 443}
_ROUTED: Final = "Right if a router or a load balancer hands port {port} on to it; else the CA cannot reach it."


@dataclass(frozen=True, slots=True)
class AcmeAnswer:
    """The directory of a CA, its terms and its clock; None where it did not say."""

    directory: Directory
    terms: str | None
    date: datetime | None


Ask = Callable[[AcmeIssuerConfig], AcmeAnswer]
"""Asks a CA. Raises `CaUnreachable`, `AcmeProblem` or `AcmeDocumentUnreadable`."""


def ask_acme(loaded: LoadedConfig, settings: AcmeIssuerConfig, now: Callable[[], datetime]) -> AcmeAnswer:
    """Fetch the directory. Raises as `Ask`."""
    trust = None if settings.ca_file is None else loaded.file.resolve(settings.ca_file)
    wire = Wire(WireSettings(trust, _SECONDS), now)
    try:
        answer = wire.get(settings.directory)
    finally:
        wire.close()
    meta = answer.document.get("meta")
    terms = meta.get("termsOfService") if isinstance(meta, dict) else None
    return AcmeAnswer(
        directory_of(answer.document), None if terms is None else printable(str(terms)), _date(answer.headers)
    )


def _date(headers: Mapping[str, str]) -> datetime | None:
    """The Date of an answer (RFC 9110 section 6.6.1)."""
    try:
        found = parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def acme_findings(
    name: str, settings: AcmeIssuerConfig, answer: AcmeAnswer | Exception, now: datetime
) -> Iterator[Finding]:
    subject = f"{name} ({settings.directory})"
    match answer:
        case CaUnreachable():
            remedy = f"Check DNS, firewall and issuer.{name}.ca_file: curl -v {settings.directory}"
            yield _ISSUERS.failure(subject, f"no answer: {answer.reason}", remedy)
        case AcmeProblem() | AcmeDocumentUnreadable():
            remedy = f"Correct issuer.{name}.directory, or ask the CA."
            yield _ISSUERS.failure(subject, f"it answers, and not with a directory: {answer}", remedy)
        case Exception():
            yield _ISSUERS.unknown(subject, f"{answer}")
        case _:
            terms = "" if answer.terms is None else f"; an account agrees to {answer.terms}"
            yield _ISSUERS.ok(subject, f"it answers with a directory{terms}")
            yield from _of_directory(name, settings, answer.directory)
            if answer.date is not None:
                yield clock_finding(_ISSUERS, f"{name}, clock", now - answer.date)


def _of_directory(name: str, settings: AcmeIssuerConfig, directory: Directory) -> Iterator[Finding]:
    if directory.needs_binding and settings.eab_kid is None:
        remedy = f"Ask the CA for a key, and set issuer.{name}.eab_kid and eab_key_file."
        yield _ISSUERS.failure(f"{name}, account", "the CA requires external account binding (EAB)", remedy)
    if settings.profile is not None and settings.profile not in directory.profiles:
        known = ", ".join(sorted(directory.profiles)) or "none"
        found = f"the CA has no profile {settings.profile}; it has {known}"
        yield _ISSUERS.failure(f"{name}, profile", found, f"Correct issuer.{name}.profile.")


def challenge_findings(config: Config, running: Sequence[Bind] | None) -> Iterator[Finding]:
    """Judge whether a CA can reach the proxy by the challenge of each issuer that is in use.

    `running` are the addresses of the running proxy, None when none runs.
    """
    used = {credential.issuer for identity in config.identity.values() for credential in identity.issued}
    for name, issuer in config.issuer.items():
        if not isinstance(issuer, AcmeIssuerConfig):
            continue
        if name not in used:
            yield _CHALLENGES.skipped(name, "no credential has this issuer")
        elif issuer.challenge is AcmeChallenge.DNS_01:
            yield _hook(name, issuer)
        else:
            yield _reachable(name, issuer.challenge, _binds(config, issuer.challenge), running)


def _hook(name: str, issuer: AcmeIssuerConfig) -> Finding:
    program = Path(issuer.hook[0])
    if program.is_absolute() and not program.is_file():
        remedy = f"Install it, or correct issuer.{name}.hook."
        return _CHALLENGES.failure(name, f"the hook for dns-01, {program}, is not there", remedy)
    return _CHALLENGES.ok(name, f"dns-01 by {program}; no port of this machine is needed")


def _binds(config: Config, challenge: AcmeChallenge) -> Sequence[Bind]:
    if challenge is AcmeChallenge.HTTP_01:
        return config.plain.bind
    return [bind for listener in config.listener.values() for bind in listener.bind]


def _reachable(name: str, challenge: AcmeChallenge, binds: Sequence[Bind], running: Sequence[Bind] | None) -> Finding:
    port = _PORTS[challenge]
    subject = f"{name}, {challenge}"
    if not binds:
        remedy = f'Set [plain] bind = "0.0.0.0:{port}", or choose another challenge.'
        return _CHALLENGES.failure(
            subject, f"the CA asks port {port}, and no listener of the configuration answers", remedy
        )
    shown = ", ".join(map(str, binds))
    if not any(bind.port == port for bind in binds):
        remedy = _ROUTED.format(port=port)
        return _CHALLENGES.warning(subject, f"the CA asks port {port}, and the proxy listens on {shown}", remedy)
    if all(bind.host.is_loopback for bind in binds):
        remedy = _ROUTED.format(port=port)
        return _CHALLENGES.warning(subject, f"the proxy listens on {shown}, which only this machine reaches", remedy)
    if running is not None and not any(bind.port == port for bind in running):
        found = f"the CA asks port {port}, and the running proxy does not listen there"
        return _CHALLENGES.failure(subject, found, "plexigate reload, or a restart if that says so.")
    return _CHALLENGES.ok(subject, f"the CA asks port {port}, and the proxy listens on {shown}")


def internal_findings(loaded: LoadedConfig, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Judge the internal CAs: whether their roots can be read, and how long they last."""
    names = [name for name, one in loaded.config.issuer.items() if isinstance(one, InternalIssuerConfig)]
    if not names:
        return
    try:
        parts = parts_of(loaded, now)
    except (ConfigError, OSError, HomeFailed, ShelfDamaged) as error:
        yield _ISSUERS.unknown("internal CAs", f"they cannot be read: {error}")
        return
    for name in names if parts is not None else []:
        assert parts is not None  # else there are no names here
        authority = parts.issuers[name]
        assert isinstance(authority, InternalAuthority)  # of its type in the configuration
        yield from _internal(name, authority, now())


def _internal(name: str, authority: InternalAuthority, now: datetime) -> Iterator[Finding]:
    subject = f"{name} (internal)"
    if not authority.has_root:
        yield _ISSUERS.ok(subject, "its root is made with the first certificate")
        return
    try:
        roots = authority.roots
    except (IssueFailed, HomeFailed, ShelfDamaged, OSError) as error:
        remedy = "Restore its directory in rotation.state from a backup."
        yield _ISSUERS.failure(subject, f"its root cannot be read: {error}", remedy)
        return
    for root in roots:
        left = (root.not_valid_after_utc - now).days
        until = f"its root is valid until {root.not_valid_after_utc:%Y-%m-%d}"
        if left < 90:
            remedy = "Make a new CA beside it, and give its root to clients before this day: docs/certificates.md."
            yield _ISSUERS.warning(subject, f"{until} ({left} days)", remedy)
        else:
            yield _ISSUERS.ok(subject, until)


def _issuers(examined: Examined) -> Iterator[Finding]:
    loaded = examined.loaded
    now = examined.now
    acme = {name: one for name, one in loaded.config.issuer.items() if isinstance(one, AcmeIssuerConfig)}
    if not loaded.config.issuer:
        yield _ISSUERS.skipped("issuers", "none is configured: certificates come from files")

    def asked(name: str) -> AcmeAnswer:
        return ask_acme(loaded, acme[name], now)

    for name, answer in side_by_side(list(acme), asked, _SECONDS + 1.0):
        yield from acme_findings(name, acme[name], answer, now())
    yield from internal_findings(loaded, now)
    if loaded.config.rotation.state is not None:
        yield from account_findings(acme, loaded.file.resolve(loaded.config.rotation.state))


def account_findings(issuers: Mapping[str, AcmeIssuerConfig], state: Path) -> Iterator[Finding]:
    """Say which accounts are stored. Their keys are not opened."""
    accounts = FileAccountStore(state / ACCOUNTS)
    for name, settings in issuers.items():
        try:
            is_there = accounts.load(settings.directory) is not None
        except OSError as error:
            remedy = "Run the doctor as root, or as the user of the service."
            yield _ISSUERS.unknown(f"{name}, account", f"it cannot be read: {error.strerror}", remedy)
            continue
        found = "it is stored" if is_there else "none is stored: it is made with the first certificate"
        yield _ISSUERS.ok(f"{name}, account", found)


def _challenges(examined: Examined) -> Iterator[Finding]:
    running = None if examined.status is None else list(running_binds(examined.status))
    yield from challenge_findings(examined.loaded.config, running)


ISSUERS: Final = (
    Checkup("issuers", Area.ISSUERS, _issuers, seconds=20.0),
    Checkup("ACME challenges", Area.ISSUERS, _challenges),
)
