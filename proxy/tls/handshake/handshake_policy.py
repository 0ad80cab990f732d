"""What one listener demands of a handshake, and what follows for a ClientHello."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from config.schema import PqPolicy
from proxy.tls.handshake.group_choice import (
    SlowExchange,
    breaks_under_require,
    has_no_common_group,
    outcome,
    predicted_group,
    refuses,
)
from proxy.tls.handshake.identities import IdentityTable, ServerIdentity
from proxy.tls.handshake.results import ConnectionRefusal, Established, FailureReason, UnopenedHello
from proxy.tls.wire.alerts import AlertDescription
from proxy.tls.wire.client_hello import ClientHello
from proxy.tls.wire.groups import GroupPreference
from proxy.tls.wire.passthrough import PassthroughTable
from proxy.tls.wire.protocols import ProtocolOffer
from proxy.tls.wire.records import ClientHelloReader
from proxy.tls.wire.server_hello import ServerHello

if TYPE_CHECKING:
    import ssl

    from proxy.tls.openssl.stream import TlsLimits

_LISTED_PROTOCOLS: Final = 4


class HandshakePolicy:
    # no dataclass, as `ServerIdentity`
    def __init__(  # noqa: PLR0913 - its fields
        self,
        pq: PqPolicy,
        preference: GroupPreference,
        identities: IdentityTable,
        hello_bytes: int,
        wire_bytes: int,
        alert_context: "ssl.SSLContext",
        tls_limits: "TlsLimits",
        protocols: ProtocolOffer,
        passthrough: PassthroughTable | None = None,
    ) -> None:
        """`passthrough` has the names whose TLS is not opened here; None if there is none."""
        self.pq: Final = pq
        self.preference: Final = preference
        self.identities: Final = identities
        self.hello_bytes: Final = hello_bytes
        self.wire_bytes: Final = wire_bytes
        self.alert_context: Final = alert_context
        self.tls_limits: Final = tls_limits
        self.protocols: Final = protocols
        self.passthrough: Final = passthrough

    def unopened(self, name: str | None, groups: Sequence[int], reader: ClientHelloReader) -> UnopenedHello | None:
        """What goes to a server as it is; None if a client that asks for this name is for us."""
        upstream = None if self.passthrough is None else self.passthrough.upstream_for(name)
        return None if upstream is None or name is None else UnopenedHello(name, upstream, groups, reader.wire)

    def judge(self, hello: ClientHello, identity: ServerIdentity | None) -> ServerIdentity | ConnectionRefusal:
        """The identity that answers the client, or why it gets none.

        `identity` is None if no identity has the name it asks for.
        """
        if self.protocols.refuses(hello.alpn):
            # RFC 7301 section 3.2
            offered = ", ".join(ascii(name.decode("latin-1")) for name in hello.alpn[:_LISTED_PROTOCOLS])
            detail = f"offered {offered}" if offered else "offered no protocol, and the listener needs one"
            alert = AlertDescription.NO_APPLICATION_PROTOCOL
            return ConnectionRefusal(FailureReason.NO_APPLICATION_PROTOCOL, alert, detail)
        if identity is None:
            # RFC 6066 section 3
            named = "no server name" if hello.server_name is None else f"server name {hello.server_name}"
            return ConnectionRefusal(FailureReason.UNRECOGNIZED_NAME, AlertDescription.UNRECOGNIZED_NAME, named)
        if refuses(self.pq, self.preference, hello):
            detail = "the client offers none of our quantum-safe groups"
            return ConnectionRefusal(FailureReason.POLICY, AlertDescription.HANDSHAKE_FAILURE, detail)
        if has_no_common_group(self.preference, hello):
            # RFC 8446 section 4.1.1
            detail = "the client offers none of our key exchange groups"
            return ConnectionRefusal(FailureReason.NO_COMMON_GROUP, AlertDescription.HANDSHAKE_FAILURE, detail)
        return identity

    def slow_exchange(self, hello: ClientHello, identity: ServerIdentity) -> SlowExchange | None:
        """The key exchange with a client, if it is too slow for an event loop."""
        slow = self.preference.slow
        group = predicted_group(self.preference, hello)
        if group is not None and group.code_point in slow:
            is_avoidable = not isinstance(self.without_slow(hello, identity), ConnectionRefusal)
            return SlowExchange(slow[group.code_point], is_avoidable)
        # without another identity, OpenSSL could still choose a slow one
        return None if identity.fast is not None else SlowExchange(max(slow.values()), is_avoidable=False)

    def without_slow(self, hello: ClientHello, identity: ServerIdentity) -> ServerIdentity | ConnectionRefusal:
        """The identity that answers without slow groups, or why there is none."""
        fast = self.preference.without_slow
        is_left = fast is not None and not (refuses(self.pq, fast, hello) or has_no_common_group(fast, hello))
        if is_left and identity.fast is not None:
            return identity.fast
        names = ", ".join(self.preference.by_code_point[one].name for one in self.preference.slow)
        detail = f"too many key exchanges with slow groups ({names}), and the client offers no other one of ours"
        return ConnectionRefusal(FailureReason.SLOW_GROUPS, AlertDescription.INTERNAL_ERROR, detail)

    def settled(
        self,
        hello: ClientHello,
        identity: ServerIdentity,
        server_hello: ServerHello,
        signing_seconds: float | None,
        protocol: str,
        *,
        retried: bool,
    ) -> Established:
        """The result of a completed handshake; `retried`: it took a HelloRetryRequest."""
        group = server_hello.group
        return Established(
            server_name=hello.server_name,
            identity=identity,
            group=None if group is None else self.preference.by_code_point.get(group),
            outcome=outcome(self.pq, self.preference, hello, group, retried=retried),
            is_resumed=server_hello.psk_selected,
            signing_seconds=signing_seconds,
            breaks_under_require=breaks_under_require(self.preference, hello),
            protocol=protocol,
            cipher_suite=server_hello.cipher_suite,
        )
