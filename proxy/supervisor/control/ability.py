"""Whether the proxy is ready.

`observe.readiness` judges it by what the parent knows, and by how the workers see servers.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from certs.keys.signing_key import KeyFamily
from config.schema import IdentityConfig
from proxy.observe.readiness import Readiness, ReadinessFacts, ServerFacts, ServerView, UpstreamFacts, readiness
from proxy.observe.scrape import CertificateFacts
from proxy.processes.messages.questions import TellServers
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reporting import wall_clock
from proxy.supervisor.servers import Servers
from proxy.supervisor.tokens.tokens import ParentTokens
from proxy.supervisor.workers.workforce import Workforce

# A healthy worker answers within milliseconds. A readiness probe itself waits about a second.
_STANDING_SECONDS: Final = 1.0
_MLDSA: Final = str(KeyFamily.MLDSA)

ServerName = tuple[str, str]


class Ability:
    """Judges the served edition."""

    def __init__(
        self,
        served: ServedEdition,
        workforce: Workforce,
        servers: Servers,
        tokens: ParentTokens,
        phase: Callable[[], str | None],
    ) -> None:
        """`phase` says that the whole proxy starts or ends. It returns None while it serves."""
        self._served = served
        self._workforce = workforce
        self._servers = servers
        self._tokens = tokens
        self._phase = phase

    async def readiness(self) -> Readiness:
        answers = await self._workforce.ask_all(TellServers(), _STANDING_SECONDS)
        views: defaultdict[ServerName, list[ServerView]] = defaultdict(list)
        silent = []
        for worker in self._workforce.workers:
            answer = answers.get(worker)
            if answer is None:
                silent.append(worker.slot)
                continue
            for one in answer.servers:
                views[one.upstream, one.server].append(ServerView(one.state, one.is_unreachable))
        return readiness(
            ReadinessFacts(
                proxy=self._phase(),
                workers=self._workers(silent),
                identities=self._identities(),
                upstreams=self._upstreams(views),
                unmade_checks={name: why for (name, _), why in sorted(self._servers.unmade.reasons.items())},
            )
        )

    def _workers(self, silent: Iterable[int]) -> dict[str, str]:
        present = {worker.slot for worker in self._workforce.workers}
        missing = {
            str(slot): "has ended or never began; another one is started"
            for slot in range(self._served.edition.worker_count)
            if slot not in present
        }
        return {**missing, **{str(slot): "does not answer: others accept in its place" for slot in silent}}

    def _identities(self) -> dict[str, str]:
        edition = self._served.edition
        faults = dict.fromkeys(edition.identities.dark, "has only sealed keys: is the sealing key unavailable?")
        of_identity: defaultdict[str, list[CertificateFacts]] = defaultdict(list)
        for one in edition.identities.certificates:
            of_identity[one.identity].append(one)
        for name, identity in edition.loaded.config.identity.items():
            if name not in faults and (fault := _fault_of_certificates(identity, of_identity[name], wall_clock())):
                faults[name] = fault
        for name, places in edition.identities.in_tokens.items():
            if name not in faults and (why := self._tokens.why_not_ready({name: places})):
                faults[name] = why.removeprefix(f"identity {name} ")
        return dict(sorted(faults.items()))

    def _upstreams(self, views: Mapping[ServerName, list[ServerView]]) -> list[UpstreamFacts]:
        config = self._served.edition.loaded.config
        verdicts = self._servers.verdicts
        routes: defaultdict[str, list[str]] = defaultdict(list)
        for route in config.route:
            if route.upstream is not None:
                routes[route.upstream].append(route.entry_name)
        for name, listener in config.listener.items():
            for upstream in (*listener.tcp_upstreams, *map(str, listener.passthrough.values())):
                routes[upstream].append(f"listener {name}")
        return [
            UpstreamFacts(
                name,
                tuple(routes[name]),
                [
                    ServerFacts(
                        address,
                        verdicts.health.get((name, address)),
                        verdicts.is_draining(name, address),
                        views.get((name, address), ()),
                    )
                    for address in (str(one.address) for one in upstream.servers)
                ],
            )
            for name, upstream in config.all_upstreams.items()
        ]


def _fault_of_certificates(identity: IdentityConfig, certificates: list[CertificateFacts], now: float) -> str:
    # ML-DSA beside other credentials does not count, see `identities_in_tokens`
    usual = [one for one in certificates if not one.algorithm.startswith(_MLDSA)]
    is_one_awaited = any(not one.key.algorithm.startswith(_MLDSA) for one in identity.issued)
    if not certificates or (is_one_awaited and not usual):
        return "has no certificate yet that common clients accept: plexigate certs list shows why"
    usual = usual or certificates
    if all(one.expires_at <= now for one in usual):
        return "has only expired certificates, which common clients refuse"
    return ""
