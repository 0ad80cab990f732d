"""Which worker accepts on the sockets of which slot. Pure.

Every slot has sockets on which the kernel queues connections. The worker of the slot accepts on
them. If this worker is starting, stuck, gone or no longer wanted, another worker accepts on them
too, so that no client waits there.
"""

from collections.abc import Collection, Mapping


def assignment(slots: int, accepting: Collection[int]) -> Mapping[int, frozenset[int]]:
    """Maps the slot of each accepting worker to the slots whose sockets it accepts on.

    The slots without a worker are given to the workers in turn. If no worker accepts, the map is
    empty, and connections wait for the next worker.
    """
    workers = sorted(accepting)
    owners: dict[int, set[int]] = {worker: set() for worker in workers}
    orphans = 0
    for slot in range(slots):
        if slot in owners:
            owners[slot].add(slot)
        elif workers:
            owners[workers[orphans % len(workers)]].add(slot)
            orphans += 1
    return {worker: frozenset(several) for worker, several in owners.items()}
