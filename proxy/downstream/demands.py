"""What a route demands of the client, before anything else of the request is judged."""

from typing import Final

from proxy.downstream.admission import RouteTarget
from proxy.downstream.client import ClientFacts
from proxy.downstream.refusals import RequestRefusal
from proxy.downstream.requester import Requester
from proxy.http.problems import pq_required
from proxy.limits.reasons import RequestReason

# Nearly every client with post-quantum key exchange offers it; a listener may take others as well.
_USUAL_GROUPS: Final = ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024")

_NOT_ALLOWED: Final = RequestRefusal(
    403, "this is not for the network that you come from", RequestReason.NETWORK_NOT_ALLOWED
)


def unmet_demand(target: RouteTarget, facts: ClientFacts, client: Requester) -> RequestRefusal | None:
    """The answer to a request whose client may not use the route; None for one that may.

    `facts` are those of the connection; `client` may be behind its peer.
    """
    group = facts.tls.group
    if target.requires_pq and not (group is not None and group.is_quantum_safe):
        name = facts.tls.group_name
        return RequestRefusal(
            403,
            f"this route requires post-quantum key exchange; your connection uses {name}",
            "route_requires_pq",
            pq_required(name, _USUAL_GROUPS),
        )
    if target.requires_certificate and facts.tls.client is None:
        return RequestRefusal(
            403,
            "this route requires a client certificate; your connection was made without one",
            "client_certificate_required",
        )
    if target.access is not None and not client.is_admitted_by(target.access):
        return _NOT_ALLOWED
    return None
