"""How often a route may be requested, and how much of that a client has used."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.limits.rates import Rate, rate_of_fleet

if TYPE_CHECKING:
    from proxy.limits.shared import Place, SharedTable


@dataclass(frozen=True, slots=True)
class RequestRate:
    rate: Rate
    key: bytes
    """Names it among all rates. A changed rate has another key, and so begins unused."""
    is_per_client: bool
    of_fleet: str = ""
    """The name of the limit of which this node has a share; empty if it has all of it."""

    @classmethod
    def of(cls, route: str, per_second: float, burst: int, *, is_per_client: bool) -> "RequestRate":
        key = f"route\0{route}\0{per_second!r}\0{burst}\0{is_per_client}\0".encode()
        return cls(Rate.of(per_second, burst), key, is_per_client)

    def among_nodes(self, route: str) -> "RequestRate":
        return RequestRate(self.rate, self.key, self.is_per_client, rate_of_fleet(route))


class ClientRates:
    """Where the rates of one connection stand in the shared table."""

    def __init__(self, network: bytes) -> None:
        """`network`: all addresses in it count as the same client."""
        self.network: Final = network
        self._places: dict[bytes, Place] | None = None

    def take(self, rate: RequestRate, shared: "SharedTable", now: float) -> float:
        """Take a token for a request: 0 if there was one, else the seconds until there is."""
        places = self._places
        if places is None:
            places = self._places = {}
        place = places.get(rate.key)
        if place is None:
            client = self.network if rate.is_per_client else b""
            place = places[rate.key] = shared.rate_place(rate.key + client)
        if rate.of_fleet:
            shared.want(rate.of_fleet)
            return shared.take(place, rate.rate.part(shared.share(rate.of_fleet)), now)
        return shared.take(place, rate.rate, now)
