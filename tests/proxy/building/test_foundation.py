"""What the parts of one building have in common."""

from dataclasses import replace

from certs.identities.identities import load_credentials
from config.loading.loader import load
from proxy.building.carried import Carried
from proxy.building.foundation import Foundation
from proxy.payload.messages.uses import PayloadUses
from proxy.tls.openssl.capabilities import Capabilities
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site, limits
from tests.generations import NOW


def test_begins_with_the_warnings_of_the_file_and_its_limits(site: Site, capabilities: Capabilities) -> None:
    del capabilities
    unused = '[upstream.unused]\nservers = ["http://127.0.0.1:2"]\n'
    values: dict[str, float | str] = {
        "key_updates_per_minute": 7,
        "linger_bytes": 8,
        "linger_timeout": "9500ms",
        "write_idle_timeout": "10500ms",
    }
    foundation = Foundation.of(
        load(site.write(MINIMAL_LISTENER + site.identity + MINIMAL_REST + unused + limits(values))),
        Carried(),
    )
    assert [problem.key for problem in foundation.problems] == ["upstream.unused"]
    assert foundation.tls_limits.key_updates_per_minute == 7
    linger = foundation.linger
    assert (linger.discard_bytes, linger.seconds, linger.flush_seconds) == (8, 9.5, 10.5)


def test_an_error_inside_of_a_table_makes_it_faulty(site: Site) -> None:
    foundation = Foundation.of(load(site.write(site.minimal)), Carried())
    assert not foundation.is_faulty("upstream", "chat")
    foundation.error(("upstream", "chat", "ca"), "nothing", "something")
    assert foundation.is_faulty("upstream", "chat")
    assert not foundation.is_faulty("upstream", "cha")
    assert not foundation.is_faulty("upstream", "other")


def test_only_a_process_that_begins_waits_and_only_for_what_was_issued(site: Site) -> None:
    loaded = load(site.write(site.minimal))
    (chosen, *_), *_ = load_credentials(loaded, NOW).identities.values()
    issued = replace(chosen, is_issued=True)
    beginning = Foundation.of(loaded, Carried())
    assert (beginning.waits_for(chosen), beginning.waits_for(issued)) == (False, True)
    assert not Foundation.of(loaded, Carried(payload_uses=PayloadUses())).waits_for(issued)
