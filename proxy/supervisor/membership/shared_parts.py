"""The kinds of shared things of a node that operators ask about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from config.loading.loaded import LoadedConfig
from proxy.observe.events.event import Tell
from proxy.supervisor.membership.kinds.fleet_reload import FleetReload, Reload
from proxy.supervisor.membership.kinds.keys.tickets import Tickets
from proxy.supervisor.membership.kinds.lead import Lead
from proxy.supervisor.membership.kinds.nodes import Nodes
from proxy.supervisor.membership.own_facts import OwnFacts
from proxy.supervisor.membership.shared_kind import SharedKind

_ANSWER_SECONDS: Final = 10.0
"""For an answer to come by way of the store, beside the reload itself."""


@dataclass(frozen=True, slots=True)
class SharedParts:
    """`reload` and `lead` are what operators wish, and `nodes` what all say of themselves."""

    tickets: Tickets
    nodes: Nodes
    lead: Lead
    reload: FleetReload

    @property
    def all(self) -> tuple[SharedKind, ...]:
        return (self.tickets, self.nodes, self.lead, self.reload)


def shared_parts(
    loaded: LoadedConfig,
    content: Callable[[], bytes],
    reload: Reload,
    tickets: Tickets,
    tell: Tell,
    clock: Callable[[], float],
) -> SharedParts:
    """The parts of a node that serves by the file with `content`; `clock` gives UNIX seconds."""
    audit = loaded.config.audit.file
    log = None if audit is None else loaded.file.resolve(audit)
    nodes = Nodes(OwnFacts(content, log), tell, clock)
    seconds = loaded.config.reload_seconds + _ANSWER_SECONDS
    return SharedParts(tickets, nodes, Lead(), FleetReload(loaded.file.path, reload, nodes, seconds))
