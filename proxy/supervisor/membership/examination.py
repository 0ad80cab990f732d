"""Looks at etcd as a node of its fleet does, for the doctor and for a check. Nothing of it
remains.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Final

from config.loading.loaded import LoadedConfig
from config.values.problems import Problem
from proxy.api.fleet import EtcdMemberRow, FleetTrialDocument
from proxy.supervisor.membership.configured import node_name, store_of
from proxy.supervisor.membership.epochs import recoverable
from proxy.supervisor.membership.etcd import EtcdStore
from proxy.supervisor.membership.places import FOUNDED, NODES
from proxy.supervisor.membership.shared import Conflict, SharedAway
from proxy.tls.openssl.libssl import LibsslError

_TRIAL: Final = "trials/"
"""Below it, all nodes let everything be."""
_TRIAL_SECONDS: Final = 60
_MOMENT_SECONDS: Final = 2.0
"""The limit for a check, which is used without etcd, too."""
_NEVER: Final = 2**62
"""A revision that no value has. etcd looks at the rights of a transaction before its conditions, so
one with this condition tells whether it may write, and writes nothing.
"""


async def examined(loaded: LoadedConfig) -> FleetTrialDocument:
    settings = loaded.config.fleet
    node = node_name(settings)
    store = store_of(loaded, settings.etcd)
    try:
        skew, read_fault = await _skew(store)
        write_fault = await _fault(_written(store, _TRIAL + node))
        own_fault = await _fault(_may_write(store, f"{NODES}{node}/"))
        # no node has a name that ends so
        other_fault = await _fault(_may_write(store, f"{NODES}{node}-/"))
        return {
            "endpoints": [await _endpoint(loaded, one) for one in settings.etcd],
            "members": await _size(store),
            "read_fault": read_fault,
            "write_fault": write_fault,
            "own_fault": own_fault,
            "is_confined": None if settings.user is None else other_fault is not None,
            "skew": skew,
        }
    finally:
        await store.close()


async def recovery_problems(loaded: LoadedConfig) -> Sequence[Problem]:
    """A warning for a fleet that is lost with its nodes. None while etcd does not answer, which is
    no fault of the configuration.
    """
    try:
        store = store_of(loaded, loaded.config.fleet.etcd)
    except (OSError, LibsslError):  # `fleet_problems` tells
        return ()
    try:
        async with asyncio.timeout(_MOMENT_SECONDS):
            names = (await store.read()).entries
    except (SharedAway, TimeoutError):
        return ()
    finally:
        await store.close()
    if FOUNDED not in names or recoverable(names):
        return ()
    better = "plexigate hsm init or rotate-sealing on a member: it makes some"
    return (loaded.file.warning(("fleet",), "a fleet that no recovery shares open when all nodes are lost", better),)


async def _endpoint(loaded: LoadedConfig, endpoint: str) -> EtcdMemberRow:
    store = store_of(loaded, [endpoint])
    try:
        version, has_leader, alarms = await store.standing()
    except SharedAway as error:
        return {"endpoint": endpoint, "fault": str(error), "version": "", "has_leader": False, "alarms": []}
    finally:
        await store.close()
    return {"endpoint": endpoint, "fault": None, "version": version, "has_leader": has_leader, "alarms": alarms}


async def _size(store: EtcdStore) -> int | None:
    try:
        return await store.size()
    except SharedAway:
        return None


async def _skew(store: EtcdStore) -> tuple[float | None, str | None]:
    try:
        return time.time() - (await store.read()).now, None  # noqa: TID251 - of this moment
    except SharedAway as error:
        return None, str(error)


async def _fault(work: Awaitable[None]) -> str | None:
    try:
        await work
    except SharedAway as error:
        return str(error)
    return None


async def _written(store: EtcdStore, name: str) -> None:
    # with a lease, as the doctor may be ended before the value is removed
    await store.commit({}, {name: b""}, lasts_seconds=_TRIAL_SECONDS)
    await store.commit({}, {name: None})


async def _may_write(store: EtcdStore, name: str) -> None:
    try:
        await store.commit({name: _NEVER}, {name: b""})
    except Conflict:
        return
