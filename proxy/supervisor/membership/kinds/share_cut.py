"""How a limit of a fleet is cut into shares of its nodes, by what each of them wants. Pure.

Each present node gets what it wants, up to a level that is the same for all of them. What is left
then is spread evenly: any node may want more in the next second. A tenth of an even part stays with
each node, for its first clients. An even part is kept for each absent member, which uses no more
than that.
"""

from collections.abc import Collection, Mapping
from typing import Final

_LEAST: Final = 0.1


def cut(wanted: Mapping[str, float], members: Collection[str]) -> dict[str, float]:
    """The share of each node, as a part of the limit; all of them are 1.

    `wanted` are the nodes that are there, and what each wants, as a part of the limit.
    """
    nodes = {*wanted, *members}
    even = 1.0 / len(nodes) if nodes else 1.0
    left = even * len(wanted)
    wanted = {node: max(part, _LEAST * even) for node, part in wanted.items()}
    shares = {node: 0.0 if node in wanted else even for node in nodes}
    hungry = sorted(wanted, key=lambda node: (wanted[node], node))
    while hungry:
        node = hungry.pop(0)
        shares[node] = min(wanted[node], left / (len(hungry) + 1))
        left -= shares[node]
    return {node: share + (left / len(wanted) if node in wanted else 0.0) for node, share in shares.items()}
