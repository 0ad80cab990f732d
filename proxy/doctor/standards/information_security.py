"""ISO/IEC 27001:2022, Annex A: the controls that the proxy has to do with. Pure.

A control is a matter of an organisation: what the proxy shows is evidence for a part of it.
"""

from collections.abc import Iterator

from config.schema import Config
from config.tables.client_certificates import ClientCertificateMode
from config.values.addresses import is_loopback
from proxy.doctor.standards.assessment import Assessment, Clause
from proxy.doctor.standards.facts import RUNNING, StandardFacts


def iso_27001(facts: StandardFacts) -> Iterator[Assessment]:
    yield from _configuration_management(facts)
    if facts.config is not None:
        yield _monitoring(facts.config)
        yield from _authentication_information(facts.config)
        yield from _secure_authentication(facts.config)
        yield _logging(facts.config)
        yield _networks(facts.config)
    yield from _services(facts)
    yield from _key_management(facts)


def _configuration_management(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause("A.8.9", "The configuration in use is the one that its file has.", RUNNING)
    told = None if facts.status is None else facts.status.get("configuration")
    if told is None or facts.digest is None:
        return
    if told["sha256"] == facts.digest:
        yield clause.met(f"the proxy serves {told['file']} as it is on disk, SHA-256 {facts.digest[:16]}...")
    else:
        found = f"the file has changed since the proxy read {told['file']}"
        yield clause.not_met(found, "plexigate reload, or restore the file.")


def _authentication_information(config: Config) -> Iterator[Assessment]:
    clause = Clause("A.5.17", "Secrets for authentication are kept out of configurations.", "[hsm.token.NAME]")
    if config.hsm is not None:
        count = len(config.hsm.token)
        yield clause.met(
            f"the PINs of {count} tokens are in files or in credentials of systemd, none in the configuration"
        )


def _secure_authentication(config: Config) -> Iterator[Assessment]:
    """Of an identity without client certificates the application authenticates its users."""
    clause = Clause("A.8.5", "Access is authenticated securely, by the sensitivity of what is behind.", "identity.NAME")
    demanding = [
        name
        for name, one in config.identity.items()
        if one.client_certificates and one.client_certificates.mode is ClientCertificateMode.REQUIRE
    ]
    if len(demanding) == len(config.identity):
        yield clause.met(f"client certificates are required: {', '.join(demanding)}")


def _logging(config: Config) -> Assessment:
    clause = Clause("A.8.15", "Logs of what is done with keys are kept, and protected against changes.", "[audit]")
    if config.audit.file is None:
        return clause.not_met("no audit log", "Set audit.file, and audit.checkpoint_key.")
    if config.audit.checkpoint_key is None:
        return clause.not_met(
            "an audit log with chained lines, without signatures: who can write it can make the chain again",
            "Set audit.checkpoint_key.",
        )
    return clause.met("an audit log with chained lines and signed checkpoints: plexigate audit verify")


def _monitoring(config: Config) -> Assessment:
    clause = Clause("A.8.16", "Anomalous behaviour is noticed, and an operator is alerted.", "[alerts]")
    if config.alerts.command or config.alerts.webhook is not None:
        return clause.met("alerts go to a command or a webhook: plexigate alerts test")
    return clause.not_met("alerts go to the log alone", "Set alerts.command or alerts.webhook.")


def _networks(config: Config) -> Assessment:
    clause = Clause("A.8.20", "Data on networks is protected.", "upstream.NAME.servers")
    plain = [
        f"{name}: {server.address} has no TLS"
        for name, upstream in config.upstream.items()
        for server in upstream.servers
        if not server.address.has_tls and server.address.scheme != "unix" and not is_loopback(server.address.host)
    ]
    remedy = "Use https:// with a ca, or show that this network is protected in another way."
    return clause.judged(plain, "all servers are on this machine, or have TLS", remedy)


def _services(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause("A.8.21", "The security mechanisms of network services are identified.", RUNNING)
    listeners = facts.listeners()
    offered = "; ".join(
        f"{one.name}: TLS 1.3, {' / '.join(':'.join(g.name for g in part) for part in one.groups)}" for one in listeners
    )
    if offered:
        yield clause.met(offered, facts.where_listeners())


def _key_management(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause("A.8.24", "Keys are managed: made, replaced and ended by plan.", RUNNING)
    certificates = facts.certificates()
    if certificates is None or facts.config is None:
        return
    expired = [str(one) for one in certificates if one.expires_at <= facts.now]
    if expired:
        yield clause.not_met(f"expired: {', '.join(expired)}", "Replace them.")
    elif facts.renewed() == facts.config.identity.keys():
        yield clause.met("the proxy renews the keys and certificates of all identities: plexigate certs list")
