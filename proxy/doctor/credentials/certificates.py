"""The certificates of the identities in their files, the revocation lists that they name, and those
of their clients.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from certs.identities.chain import extension_of
from certs.identities.client_authorities import client_authorities
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.credentials.chains import CERTIFICATES as JUDGE
from proxy.doctor.credentials.chains import ConfiguredChain, chain_findings, configured_chains, trust_finding
from proxy.doctor.finding import Area, Finding, Judge
from proxy.trust.list_check import list_checks
from proxy.trust.timestamp_check import log_list_path, timestamp_checks

_REVOCATION: Final = Judge("revocation lists")
_NAMED: Final = Judge("published lists")
_OWN_LIST: Final = (
    "plexigate run shows it where [plain] listens: let the host of issuer.NAME.crl_url lead to port 80 of this machine. "
    "If it is revoked: plexigate certs rotate."
)
_LIST_OF_CA: Final = "If it is revoked, get another certificate; else ask its CA."
_TRANSPARENCY: Final = Judge("transparency")
_BAD_TIMESTAMPS: Final = "Get another certificate from its CA. If the list of logs is old, fetch a new one first."
_LOG_LIST: Final = (
    "Fetch https://www.gstatic.com/ct/log_list/v3/log_list.json to the file of ct.log_list, once a month by a timer."
)
_LOG_UNREAD: Final = "The proxy tries again after ct.watch_every. Is it the address of a log?"
_SOON: Final = timedelta(days=14)


def _certificates(examined: Examined) -> Iterator[Finding]:
    now = examined.now()
    for one in configured_chains(examined.loaded):
        if isinstance(one, ConfiguredChain):
            yield from chain_findings(JUDGE, one.about, one, one.chain, now)
            yield trust_finding(one, now)
        else:
            yield one


def _revocation(examined: Examined) -> Iterator[Finding]:
    loaded = examined.loaded
    now = examined.now()
    has_lists = False
    rows = () if examined.running is None else examined.running.status.get("revocation_lists", ())
    faults = {row["name"]: row["fault"] for row in rows if row["of"] == "clients"}
    for name, identity in loaded.config.identity.items():
        settings = identity.client_certificates
        if settings is None or not settings.checks_revocation:
            continue
        has_lists = True
        place = ("identity", name, "client_certificates")
        found, _ = client_authorities(loaded.file, place, settings, loaded.config.rotation.state, now)
        if found is None or found.currency is None:
            yield _REVOCATION.failure(name, "its lists cannot be used", "The findings of the configuration say why.")
        else:
            refused = "may be revoked" if found.is_lenient else "are refused"
            if fault := faults.get(name):
                refused += f" ({fault})"
            yield currency_finding(name, found.currency, now, is_fetched=found.has_addresses, consequence=refused)
    if not has_lists:
        yield _REVOCATION.skipped("revocation lists", "no identity checks the revocation of its clients")


def _named_lists(examined: Examined) -> Iterator[Finding]:
    named = False
    for one in configured_chains(examined.loaded):
        if not isinstance(one, ConfiguredChain):
            continue  # said by another check
        for check in list_checks(one.chain, examined.now()):
            named = True
            remedy = _OWN_LIST if one.own_ca is not None else _LIST_OF_CA
            yield _NAMED.failure(one.about, check.text, remedy) if check.is_fault else _NAMED.ok(one.about, check.text)
    if not named:
        yield _NAMED.skipped("published lists", "no certificate names a revocation list")


def _transparency(examined: Examined) -> Iterator[Finding]:
    found = [*_watched_logs(examined), *_timestamps(examined)]
    yield from found or [_TRANSPARENCY.skipped("transparency", "no certificate has timestamps, and no log is watched")]


def _watched_logs(examined: Examined) -> Iterator[Finding]:
    # a proxy of an older version has none
    for log in () if examined.running is None else examined.running.status.get("watched_logs", ()):
        if log["fault"] is None:
            yield _TRANSPARENCY.ok(log["log"], f"read up to entry {log['read']} of {log['size']}")
        else:
            yield _TRANSPARENCY.warning(log["log"], f"was not read: {log['fault']}", _LOG_UNREAD)


def _timestamps(examined: Examined) -> Iterator[Finding]:
    path = log_list_path(examined.loaded)
    for one in configured_chains(examined.loaded):
        if not isinstance(one, ConfiguredChain) or one.own_ca is not None or not _has_timestamps(one):
            continue  # a CA that browsers do not know needs none
        for text, is_fault in timestamp_checks(one.chain, path, examined.now()):
            match is_fault:
                case True:
                    yield _TRANSPARENCY.failure(one.about, text, _BAD_TIMESTAMPS)
                case False:
                    yield _TRANSPARENCY.ok(one.about, text)
                case None:
                    yield _TRANSPARENCY.warning(one.about, text, _LOG_LIST)


def _has_timestamps(one: ConfiguredChain) -> bool:
    try:
        return extension_of(one.chain[0], x509.PrecertificateSignedCertificateTimestamps) is not None
    except ValueError:
        return True  # damaged ones: `timestamp_checks` says so


def currency_finding(
    name: str, currency: tuple[datetime, datetime], now: datetime, *, is_fetched: bool, consequence: str
) -> Finding:
    """Judge from when to when the lists of an identity are current."""
    begins, ends = currency
    if ends.timestamp() == 0:
        until = "an authority has no list"
    elif now < begins:
        until = f"current only from {begins:%Y-%m-%d %H:%M} UTC"
    else:
        until = f"{'current until' if now < ends else 'expired at'} {ends:%Y-%m-%d %H:%M} UTC"
    remedy = f"Fetch the new list of the authority to identity.{name}.client_certificates.crl, and reload."
    if is_fetched:
        remedy = "The proxy fetches lists by itself: its log says list_not_fetched, and why."
    if not begins <= now < ends:
        return _REVOCATION.failure(name, f"{until}: clients with certificates {consequence}", remedy)
    if ends - now < min((ends - begins) / 4, _SOON):
        return _REVOCATION.warning(name, until, remedy)
    return _REVOCATION.ok(name, until)


CERTIFICATES: Final = (
    Checkup("certificates", Area.CERTIFICATES, _certificates),
    Checkup("revocation lists", Area.CERTIFICATES, _revocation),
    Checkup("published lists", Area.CERTIFICATES, _named_lists),
    Checkup("transparency", Area.CERTIFICATES, _transparency),
)
