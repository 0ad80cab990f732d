"""What the parts of one building have in common."""

from config.loader import load
from proxy.building.carried import Carried
from proxy.building.foundation import Foundation
from proxy.tls.capabilities import Capabilities
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site, limits


def test_begins_with_the_warnings_of_the_file_and_its_limits(site: Site, capabilities: Capabilities) -> None:
    del capabilities
    unused = '[upstream.unused]\nservers = ["http://127.0.0.1:2"]\n'
    values = {"key_updates_per_minute": 7, "linger_bytes": 8, "linger_seconds": 9.5, "write_idle_seconds": 10.5}
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
