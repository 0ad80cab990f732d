"""What a listener says about the clients behind its peers. Pure."""

from collections.abc import Iterator

from config.crosschecks.checks import Checks
from config.schema import Config
from config.tables.listener import ClientAddressFrom, ListenerConfig
from config.values.omissions import Omissions
from config.values.problems import Problem

_HEADER_SENDERS = "the address of each balancer: with a network, each host in it can name any client"
_BOTH = (
    "proxy_protocol_from with the address of each balancer: now each host in it can name any client, in a PROXY header"
)
_TRUSTED = "addresses: a client whose PROXY header has an address in it chooses its own address by a header"


def client_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """Trust that is too wide, and keys that do nothing without trust."""
    checks = Checks(config, file, omissions)
    for name, listener in config.listener.items():
        for index, network in enumerate(listener.trusted_peers):
            if not network.prefixlen:
                better = "the addresses of your load balancers: now each client chooses its own address by a header"
                yield checks.warning(("listener", name, "trusted_peers", index), f'"{network}"', better)
        yield from _shared_trust(name, listener, checks)
        is_default = listener.client_address_from is ClientAddressFrom.X_FORWARDED_FOR
        if not (is_default or listener.trusted_peers or omissions.touch("listener", name)):
            better = "trusted_peers as well: the headers of other peers are never read"
            yield checks.warning(("listener", name, "client_address_from"), f'"{listener.client_address_from}"', better)


def _shared_trust(name: str, listener: ListenerConfig, checks: Checks) -> Iterator[Problem]:
    """Networks where PROXY headers name the clients, who may be in these networks themselves."""
    if listener.proxy_protocol is None:
        return
    for key, networks, better in (
        ("proxy_protocol_from", listener.proxy_protocol_from, _HEADER_SENDERS),
        ("trusted_peers", listener.trusted_peers, _TRUSTED if listener.proxy_protocol_from else _BOTH),
    ):
        for index, network in enumerate(networks):
            if 0 < network.prefixlen < network.max_prefixlen or (
                key == "proxy_protocol_from" and not network.prefixlen
            ):
                found = f'"{network}" together with proxy_protocol'
                yield checks.warning(("listener", name, key, index), found, better)
