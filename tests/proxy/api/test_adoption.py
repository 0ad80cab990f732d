"""The take-up of post-quantum key exchange: what the parent keeps and answers is as its type says."""

from proxy.api.adoption import AdoptionDocument
from proxy.observe.adoption import Adoption
from proxy.observe.counts.breaking import BreakingClients, day_of
from tests.fakes_admin import NOW, scrape
from tests.parts import differences


def test_days_with_and_without_refusals_are_as_their_type_says() -> None:
    adoption, today = Adoption(), day_of(NOW)
    breaking = BreakingClients(lambda: today)
    breaking.add("strict", "chat.test", "192.0.2.1", [])
    adoption.take(NOW, {**scrape().workers[0].snapshot, "breaking": breaking.snapshot()}, scrape().listeners)
    document = adoption.document(NOW, "writer")
    assert list(differences(document, AdoptionDocument)) == []
    assert {bool(one["breaking"]) for one in document["days"][today].values()} == {True, False}
