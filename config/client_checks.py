"""What a listener says about the clients behind its peers. Pure."""

from collections.abc import Iterator

from config.listener import ClientAddressFrom
from config.omissions import Omissions
from config.problems import Problem, Severity
from config.schema import Config


def client_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """Trust that is too wide, and keys that do nothing without trust."""
    for name, listener in config.listener.items():
        for index, network in enumerate(listener.trusted_peers):
            if not network.prefixlen:
                key = omissions.key("listener", name, "trusted_peers", index)
                better = "the addresses of your load balancers: now each client chooses its own address by a header"
                yield Problem(file, key, f'"{network}"', better, Severity.WARNING)
        is_default = listener.client_address_from is ClientAddressFrom.X_FORWARDED_FOR
        if not (is_default or listener.trusted_peers or omissions.touch("listener", name)):
            key = omissions.key("listener", name, "client_address_from")
            better = "trusted_peers beside it: the headers of other peers are never read"
            yield Problem(file, key, f'"{listener.client_address_from}"', better, Severity.WARNING)
