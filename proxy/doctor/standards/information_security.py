"""ISO/IEC 27001:2022, Annex A: the controls that the proxy has to do with. Pure.

A control is a matter of an organisation: what the proxy shows is evidence for a part of it.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from config.client_certificates import ClientCertificateMode
from config.schema import Config
from proxy.doctor.standards.assessment import Assessment, Clause
from proxy.doctor.standards.facts import RUNNING, StandardFacts

_ORGANISATION: Final = "the organisation: its policy and its records"
_LOOPBACK: Final = ("localhost",)


def iso_27001(facts: StandardFacts) -> Iterator[Assessment]:
    """Assess the controls."""
    yield _configuration_management(facts)
    yield from _monitoring(facts)
    if facts.config is not None:
        yield _authentication_information(facts.config)
        yield _secure_authentication(facts.config)
        yield _logging(facts.config)
        yield _networks(facts.config)
    else:
        yield Clause("A.5.17, A.8.5, A.8.15, A.8.20", "Secrets, authentication, logging, networks.", "").not_known(
            "no configuration was named", "plexigate doctor standards FILE"
        )
    yield _services(facts)
    yield from _cryptography(facts)
    yield Clause("A.8.17", "Clocks are synchronised to an approved source.", "").not_known(
        "not looked at here", "plexigate doctor, check clock, and the time service of the machine"
    )


def _configuration_management(facts: StandardFacts) -> Assessment:
    clause = Clause("A.8.9", "The configuration in use is the one that its file has.", RUNNING)
    told = None if facts.status is None else facts.status.get("configuration")
    if told is None or facts.digest is None:
        return clause.not_known("a running proxy and its configuration are needed", "plexigate doctor standards FILE")
    if told["sha256"] == facts.digest:
        return clause.met(f"the proxy serves {told['file']} as it is on disk, SHA-256 {facts.digest[:16]}...")
    return clause.not_met(
        f"the file has changed since the proxy read {told['file']}", "plexigate reload, or restore the file."
    )


def _authentication_information(config: Config) -> Assessment:
    clause = Clause("A.5.17", "Secrets for authentication are kept out of configurations.", "[hsm.token.NAME]")
    if config.hsm is None:
        return clause.not_known("no token, so no PIN; keys are in files", _ORGANISATION)
    return clause.met(
        f"the PINs of {len(config.hsm.token)} tokens are in files or in credentials of systemd, none in the configuration"
    )


def _secure_authentication(config: Config) -> Assessment:
    clause = Clause("A.8.5", "Access is authenticated securely, by the sensitivity of what is behind.", "identity.NAME")
    demanding = [
        name
        for name, one in config.identity.items()
        if one.client_certificates and one.client_certificates.mode is ClientCertificateMode.REQUIRE
    ]
    others = [name for name in config.identity if name not in demanding]
    if not others:
        return clause.met(f"client certificates are required: {', '.join(demanding)}")
    found = f"{', '.join(others)} can be used without a client certificate: the application authenticates"
    return clause.not_known(found, _ORGANISATION)


def _logging(config: Config) -> Assessment:
    clause = Clause("A.8.15", "Logs of what is done with keys are kept, and protected against changes.", "[audit]")
    if config.audit.file is None:
        return clause.not_met("no audit log", "Set audit.file, and audit.checkpoint_key.")
    if config.audit.checkpoint_key is None:
        return clause.not_met(
            "an audit log with chained lines, without signatures: who can write it can make the chain anew",
            "Set audit.checkpoint_key.",
        )
    return clause.met("an audit log with chained lines and signed checkpoints: plexigate audit verify")


def _monitoring(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause("A.8.16", "Anomalous behaviour is noticed, and a person is told.", "[alerts]")
    if facts.config is None:
        return
    alerts = facts.config.alerts
    if alerts.command or alerts.webhook is not None:
        yield clause.met("alerts go to a command or a webhook: plexigate alerts test")
    else:
        yield clause.not_met("alerts go to the log alone", "Set alerts.command or alerts.webhook.")


def _networks(config: Config) -> Assessment:
    clause = Clause("A.8.20", "Data on networks is protected.", "upstream.NAME.servers")
    plain = [
        f"{name}: {server.address} has no TLS"
        for name, upstream in config.upstream.items()
        for server in upstream.servers
        if not server.address.has_tls and server.address.scheme != "unix" and not _is_loopback(server.address.host)
    ]
    remedy = "Use https:// with a ca, or show that this network is protected in another way."
    return clause.judged(plain, "all servers are on this machine, or have TLS", remedy)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host in _LOOPBACK


def _services(facts: StandardFacts) -> Assessment:
    clause = Clause("A.8.21", "The security mechanisms of network services are identified.", RUNNING)
    listeners = facts.listeners()
    if not listeners:
        return clause.not_known("no listener with TLS could be read", "the running proxy, or the configuration")
    offered = "; ".join(
        f"{one.name}: TLS 1.3, {' / '.join(':'.join(g.name for g in part) for part in one.groups)}" for one in listeners
    )
    return clause.met(offered, facts.where_listeners())


def _cryptography(facts: StandardFacts) -> Iterator[Assessment]:
    yield Clause("A.8.24", "There are rules for the use of cryptography.", "").not_known(
        "the configuration has levels and policies; whether they are the rules is not known", _ORGANISATION
    )
    clause = Clause("A.8.24", "Keys are managed: made, replaced and ended by plan.", RUNNING)
    certificates = facts.certificates()
    if certificates is None or facts.config is None:
        yield clause.not_known("a running proxy and its configuration are needed", "plexigate doctor standards FILE")
        return
    by_hand = sorted(
        name
        for name, one in facts.config.identity.items()
        if not one.credential or not all(hasattr(c, "issuer") for c in one.credential)
    )
    expired = [str(one) for one in certificates if one.expires_at <= facts.now]
    if expired:
        yield clause.not_met(f"expired: {', '.join(expired)}", "Replace them.")
    elif by_hand:
        yield clause.not_known(
            f"renewed by hand: {', '.join(by_hand)}", _ORGANISATION, "Let the proxy rotate them: docs/certificates.md."
        )
    else:
        yield clause.met("the proxy renews the keys and certificates of all identities: plexigate certs list")
