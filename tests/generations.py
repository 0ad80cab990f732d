"""Generations built from configurations on disk."""

from datetime import UTC, datetime

import pytest

from config.loading.loader import load, survey
from config.values.problems import ConfigError, Problem
from proxy.building.carried import Carried
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.worker.generation import Generation, build
from tests.configurations import Site

NOW = datetime.now(UTC)  # noqa: TID251 - certificates that OpenSSL judges too are valid by the real clock
SECRETS = TicketSecrets(bytes(32))


def built(
    site: Site,
    capabilities: Capabilities,
    text: str,
    before: Carried = Carried(),  # noqa: B008 - it never changes
    tickets: TicketSecrets = SECRETS,
) -> Generation:
    """Build what must be usable."""
    return build(load(site.write(text)), capabilities, tickets, NOW, before)


def problems(site: Site, capabilities: Capabilities, text: str, now: datetime = NOW) -> dict[str, Problem]:
    """The errors of a configuration whose structure is fine, by their key."""
    found = survey(site.write(text))
    assert found.loaded is not None
    with pytest.raises(ConfigError) as caught:
        build(found.loaded, capabilities, SECRETS, now)
    return {problem.key: problem for problem in caught.value.problems if problem.is_error}
