"""The store of a fleet: whether each member of etcd answers, what this node may do there, and what
its clock says.
"""

from collections.abc import Callable, Iterator
from typing import Final

from config.loading.loaded import LoadedConfig
from proxy.api.fleet import FleetTrialDocument
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge

_FLEET: Final = Judge("fleet")
_SECONDS: Final = 30.0
_MOST_SKEW: Final = 60.0
_SOME_SKEW: Final = 5.0
_ROLES: Final = "Give its user the roles of docs/fleet.md."

Look = Callable[[LoadedConfig], FleetTrialDocument]
"""Asks etcd. Raises `OSError` and the like for files that cannot be used."""


def fleet_findings(trial: FleetTrialDocument) -> Iterator[Finding]:
    """Judge what was found. There is one sentence for each subject."""
    for one in trial["endpoints"]:
        if one["fault"] is not None:
            yield _FLEET.failure(one["endpoint"], one["fault"], "Check this member of etcd, and the network to it.")
        elif one["alarms"]:
            remedy = "etcdctl alarm list shows them; NOSPACE wants compaction, defragmentation and alarm disarm."
            yield _FLEET.failure(
                one["endpoint"], f"etcd {one['version']} has alarms: {', '.join(one['alarms'])}", remedy
            )
        else:
            yield _FLEET.ok(one["endpoint"], f"etcd {one['version']} answers")
    yield _quorum(trial)
    if trial["read_fault"] is None:
        yield from _rights(trial)
        yield _clock(trial["skew"] or 0.0)


def _quorum(trial: FleetTrialDocument) -> Finding:
    rows = trial["endpoints"]
    answering = sum(one["fault"] is None for one in rows)
    members = trial["members"]
    if trial["read_fault"] is not None:
        remedy = "Bring back members until more than half run; until then the nodes serve by what they have."
        return _FLEET.failure("quorum", f"etcd cannot be read: {trial['read_fault']}", remedy)
    if not all(one["has_leader"] for one in rows if one["fault"] is None):
        return _FLEET.warning("quorum", "a member knows no leader of etcd", "Check the network between its members.")
    if members is not None and members > len(rows):
        found = f"etcd has {members} members, and fleet.etcd names {len(rows)}"
        return _FLEET.warning("quorum", found, "Name all of them in fleet.etcd, so that a node finds one that runs.")
    if answering == 1:
        found = "one member of etcd answers, and no other could take its place"
        return _FLEET.warning("quorum", found, "Run etcd on three machines, and name them in fleet.etcd.")
    if answering < len(rows):
        found = f"{answering} of {len(rows)} members of etcd answer"
        return _FLEET.warning("quorum", found, "Bring back the others before one more fails.")
    return _FLEET.ok("quorum", f"all {answering} members of etcd answer, with a leader")


def _rights(trial: FleetTrialDocument) -> Iterator[Finding]:
    for subject, fault in (("writes", trial["write_fault"]), ("its own name", trial["own_fault"])):
        if fault is not None:
            yield _FLEET.failure(subject, f"this node cannot write there: {fault}", _ROLES)
    if trial["write_fault"] is None:
        yield _FLEET.ok("writes", "a test value was written below fleet.prefix, and removed")
    match trial["is_confined"]:
        case None:
            found = "without fleet.user, each client certificate that etcd accepts opens all of it"
            yield _FLEET.ok("roles", found)
        case True:
            yield _FLEET.ok("roles", "this node cannot write below the name of another one")
        case False:
            yield _FLEET.warning("roles", "this node may write below the name of another one", _ROLES)


def _clock(skew: float) -> Finding:
    found = f"the clock of this node is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} that of etcd"
    if abs(skew) > _MOST_SKEW:
        return _FLEET.failure("clock", f"{found}: it takes nothing new, and does not lead", "Check NTP on both.")
    if abs(skew) > _SOME_SKEW:
        return _FLEET.warning("clock", found, "Check NTP on both.")
    return _FLEET.ok("clock", found)


def fleet_checkups(look: Look) -> tuple[Checkup, ...]:
    """The check. It is skipped where the configuration has no fleet."""

    def checked(examined: Examined) -> Iterator[Finding]:
        loaded = examined.loaded
        if not loaded.config.fleet.etcd:
            yield _FLEET.skipped("fleet", "fleet.etcd is not set")
            return
        try:
            trial = look(loaded)
        except OSError as error:  # also ssl.SSLError
            yield _FLEET.failure("fleet", f"its files cannot be used: {error}", "Correct the paths in [fleet].")
            return
        yield from fleet_findings(trial)

    return (Checkup("fleet", Area.NETWORK, checked, _SECONDS),)
