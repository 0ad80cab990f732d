"""Whether an established connection may continue under another configuration. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.handshake.results import Established


class NoLongerWelcome(Exception):
    """A listener would refuse the connection now. `reason` is for the log and for a close frame."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def standing(tls: Established, listener: str, policies: Mapping[str, HandshakePolicy]) -> Established:
    """The facts of a connection under the current policies of the listeners.

    The identity is looked up again, because its names may have changed. The connection keeps its
    keys and its certificate. Raises `NoLongerWelcome`.
    """
    policy = policies.get(listener)
    if policy is None:
        raise NoLongerWelcome("a reload removed its listener")
    identity = policy.identities.resolve(tls.server_name)
    if identity is None or identity.name != tls.identity.name:
        raise NoLongerWelcome("a reload gave its server name to another identity or to none")
    if tls.group is not None and tls.group.code_point not in policy.preference.by_code_point:
        raise NoLongerWelcome(f"a reload forbids its key exchange group {tls.group_name}")
    if not policy.protocols.has(tls.protocol):
        raise NoLongerWelcome(f"a reload forbids its protocol {tls.protocol}")
    _judge_client(tls, identity)
    return tls if identity is tls.identity else replace(tls, identity=identity)


def _judge_client(tls: Established, identity: ServerIdentity) -> None:
    """Whether the client, with what it showed in the handshake, would be let in again."""
    if identity.clients == tls.identity.clients:
        return
    if identity.clients is None:
        if tls.client is not None:
            raise NoLongerWelcome("a reload asks for no client certificates any more, and it had shown one")
        return
    refusal = identity.clients.refusal_of(tls.client)
    if refusal is not None:
        raise NoLongerWelcome(f"a reload refuses its client certificate: {refusal}")
