"""The page: what it shows is what its types say, key by key and in their order."""

from dataclasses import replace

from proxy.admin.page.overview import overview
from proxy.api.overview import Overview, Samples
from proxy.observe.history.history import History
from tests.fakes_admin import NOW, fed, scrape, worker
from tests.parts import differences
from tests.proxy.api.test_certificates import rows


def test_sections_and_samples_are_as_their_types_say() -> None:
    history = History()
    for seconds in range(0, 180, 10):
        grown = fed()
        for _ in range(seconds):
            grown.failure("public", "pq_policy")
        history.note(replace(scrape(worker(0, grown)), now=NOW + seconds))
    document = overview(scrape(), history, rows(), "compiled")
    assert list(differences(document, Overview)) == []
    assert document["refusals"]["rows"]
    assert document["routes"]["seconds"] is not None
    samples = history.fine.since(0.0)
    assert list(differences(samples, Samples)) == []
    assert samples["series"]
