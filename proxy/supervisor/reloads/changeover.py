"""How an edition comes into service: which parts follow it, and in which order."""

from collections.abc import Callable, Iterable
from typing import Final

from config.problems import Problem
from proxy.supervisor.auditing import Auditing
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.reloading import Prepared, Reloading
from proxy.supervisor.servers import Servers
from proxy.supervisor.tokens.tokens import ParentTokens


class Changeover:
    """Commits an edition that all workers have prepared. The caller holds `Reloading.editing`."""

    def __init__(
        self,
        reloading: Reloading,
        served: ServedEdition,
        servers: Servers,
        tokens: ParentTokens,
        auditing: Auditing,
        warn: Callable[[Iterable[Problem]], None],
    ) -> None:
        """`warn` logs the warnings about an edition."""
        self._reloading = reloading
        self._served = served
        self._servers = servers
        self._tokens = tokens
        self._auditing = auditing
        self.warn: Final = warn

    async def commit(self, prepared: Prepared) -> None:
        """Serve by a new configuration."""
        edition = prepared.edition
        # before the workers change over: see `Servers.follow`
        self._servers.follow(edition.servers, edition.checks)
        self._tokens.follow(edition.tokens, edition.identities_in_tokens)
        await self._reloading.commit(prepared)
        self._is_served(prepared)
        self.warn([*edition.warnings, *prepared.answers[0].warnings])

    async def renew(self, prepared: Prepared) -> None:
        """Serve by the same configuration with other secrets. Its servers are unchanged."""
        await self._reloading.commit(prepared)
        self._is_served(prepared)
        self._tokens.follow(prepared.edition.tokens, prepared.edition.identities_in_tokens)

    def _is_served(self, prepared: Prepared) -> None:
        self._served.edition = prepared.edition
        self._served.offers = prepared.answers[0].offers
        self._auditing.follow(prepared.edition)
