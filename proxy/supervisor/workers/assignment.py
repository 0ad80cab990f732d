"""Which worker accepts on the sockets of which slot. Pure.

Every slot has sockets that the kernel puts connections on. A slot's own worker accepts on them;
those of a slot whose worker is starting, stuck, gone or no longer wanted are accepted on by another
one as well, so that no client waits there.
"""

from collections.abc import Collection, Mapping


def assignment(slots: int, accepting: Collection[int]) -> Mapping[int, frozenset[int]]:
    """Slot of each accepting worker -> the slots whose sockets it accepts on; what is orphaned is
    dealt out in turn.

    Without any accepting worker nothing is assigned: connections wait for the next one.
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
