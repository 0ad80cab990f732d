"""The status: what the parent writes is what its type says, key by key and in its order."""

from dataclasses import replace

from proxy.api.status import StatusDocument
from proxy.observe.readiness import NotReadyReason, Readiness, ReadinessSubject
from proxy.observe.scrape import ConfigurationFacts, MaintenanceFacts, Scrape, UpgradeFacts
from proxy.observe.status import status
from tests.fakes_admin import NOW, scrape
from tests.parts import differences

REASON = NotReadyReason(ReadinessSubject.UPSTREAM, "chat", "has no server that takes requests", ("chat.test/",))


def test_full_and_empty_status_are_as_their_type_says() -> None:
    full = replace(
        scrape(),
        readiness=Readiness((REASON,), (replace(REASON, routes=()),)),
        configuration=ConfigurationFacts("/etc/plexigate.toml", "ab" * 32, NOW),
        maintenance=[MaintenanceFacts("chat.test/", NOW)],
        upgrade=UpgradeFacts("proving", 7, "/usr/bin/plexigate"),
        former_workers=[3],
    )
    document = status(full)
    assert list(differences(document, StatusDocument)) == []
    told = ("listeners", "workers", "routes", "protocols", "tokens", "upstreams", "unmade_checks", "certificates")
    assert [name for name in told if not document[name]] == []  # type: ignore[literal-required]
    assert list(differences(status(Scrape(NOW, NOW, "0.1.0", 1, [])), StatusDocument)) == []
