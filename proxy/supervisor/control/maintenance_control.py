"""Takes routes out of service and puts them back, for the admin server."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Final

from config.values.addresses import Refused, parse_network
from proxy.admin.requests.problems import CommandRefused
from proxy.admin.requests.wishes import MaintenanceWish
from proxy.api.commands import MaintainedRow, MaintenanceDocument, MaintenanceEnd
from proxy.figures.totals import how_many
from proxy.processes.messages.codec import encode
from proxy.processes.messages.questions import MaintainedRoute
from proxy.routes.error_pages import MOST_BYTES, ErrorPage, PageUnusable
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.maintenance import Maintenance
from proxy.supervisor.membership.places import Order, maintenance_order

_USUAL_RETRY_SECONDS: Final = 300
_LONGEST_RETRY_SECONDS: Final = 7 * 86_400
_MOST_NETWORKS: Final = 64
# Each worker gets all of them in one message, whose frame has room for 64 MB.
_MOST_PAGES_BYTES: Final = 4 * 1_048_576
_SHOWN_ROUTES: Final = 10


class SupervisorMaintenance:
    """Implements `admin.requests.contracts.MaintenanceControl`."""

    def __init__(
        self, served: ServedEdition, maintenance: Maintenance, order: Order, clock: Callable[[], float]
    ) -> None:
        """`served` names the routes; `order` is for the whole fleet; `clock` gives UNIX seconds."""
        self._served = served
        self._maintenance = maintenance
        self._order = order
        self._clock = clock

    def listed(self) -> MaintenanceDocument:
        configured = self._configured()
        return {"routes": [self._told(one, configured) for one in self._maintenance.routes]}

    async def begin(self, wish: MaintenanceWish) -> MaintainedRow:
        """Take a route out of service. Raises `CommandRefused`."""
        configured = self._configured()
        if wish.route not in configured:
            raise CommandRefused(404, _unknown(wish.route, configured))
        since = next((one.since for one in self._maintenance.routes if one.route == wish.route), self._clock())
        route = MaintainedRoute(
            wish.route, since, _seconds(wish.retry_after), _page(wish), wish.page_is_html, _networks(wish.allowed)
        )
        others = [one for one in self._maintenance.routes if one.route != wish.route]
        if sum(len(one.page) for one in (*others, route)) > _MOST_PAGES_BYTES:
            raise CommandRefused(
                409, f"the pages of all routes in maintenance have more than {_MOST_PAGES_BYTES:_} bytes"
            )
        silent = 0
        try:
            if wish.for_fleet:
                await self._order(maintenance_order(wish.route), encode(route))
            else:
                silent = await self._maintenance.begin(route)
        except OSError as error:
            raise self._not_kept(error) from None
        shown = self._told(route, configured)
        if silent:
            shown["warning"] = _warning(silent)
        return shown

    async def end(self, route: str, *, for_fleet: bool = False) -> MaintenanceEnd:
        """Put a route back into service. Raises `CommandRefused`."""
        if for_fleet:
            if not self._maintenance.is_of_fleet(route):
                raise CommandRefused(404, f'route "{route}" is not in maintenance in the fleet')
            await self._order(maintenance_order(route), None)
            return {"route": route}
        try:
            silent = await self._maintenance.end(route)
        except KeyError:
            if self._maintenance.is_of_fleet(route):
                raise CommandRefused(
                    409, f'route "{route}" is in maintenance in the whole fleet: add --fleet'
                ) from None
            others = ", ".join(one.route for one in self._maintenance.routes) or "none"
            raise CommandRefused(404, f'route "{route}" is not in maintenance; in maintenance: {others}') from None
        except OSError as error:
            raise self._not_kept(error) from None
        return {"route": route, "warning": _warning(silent)} if silent else {"route": route}

    def _told(self, one: MaintainedRoute, configured: frozenset[str]) -> MaintainedRow:
        return {
            "route": one.route,
            "since": one.since,
            "retry_after": one.retry_after,
            "page": bool(one.page),
            "allowed": list(one.allowed),
            "is_configured": one.route in configured,
            "is_of_fleet": self._maintenance.is_of_fleet(one.route),
        }

    def _configured(self) -> frozenset[str]:
        return frozenset(route.entry_name for route in self._served.edition.loaded.config.route)

    def _not_kept(self, error: OSError) -> CommandRefused:
        """The refusal of a change that would not survive a restart: the parent has not made it."""
        reason = error.strerror or str(error)
        return CommandRefused(
            409,
            f"{self._maintenance.path} cannot be written ({reason}), so nothing was changed: set [rotation] state, or"
            " StateDirectory= of systemd, to a directory that the proxy may write to",
        )


def _warning(silent: int) -> str:
    return f"{how_many(silent, 'worker')} did not answer, and will follow later: see plexigate status"


def _unknown(route: str, configured: frozenset[str]) -> str:
    # "chat.example.org" is meant for "chat.example.org/"
    close = [name for name in sorted(configured) if name.startswith(route)] or get_close_matches(route, configured)
    shown = close or sorted(configured)
    listed = ", ".join(f'"{name}"' for name in shown[:_SHOWN_ROUTES]) or "none"
    return f'there is no route "{route}"; there is {listed}'


def _seconds(text: str) -> int:
    if not text:
        return _USUAL_RETRY_SECONDS
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _LONGEST_RETRY_SECONDS or len(text) > 9:
        raise CommandRefused(400, f"retry_after is {text[:20]!a}: write seconds from 1 to {_LONGEST_RETRY_SECONDS:_}")
    return int(text)


def _networks(text: str) -> tuple[str, ...]:
    try:
        found = tuple(str(parse_network(one.strip())) for one in text.split(",")) if text else ()
    except Refused as error:
        raise CommandRefused(400, f"allow is {text[:60]!a}: write {error.allowed}") from None
    if len(found) > _MOST_NETWORKS:
        raise CommandRefused(400, f"allow has {len(found)} networks: write at most {_MOST_NETWORKS}")
    return found


def _page(wish: MaintenanceWish) -> str:
    if not wish.page:
        return ""
    if len(wish.page) > MOST_BYTES:
        raise CommandRefused(400, f"the page has more than {MOST_BYTES:_} bytes")
    try:
        ErrorPage(wish.page, is_html=wish.page_is_html)
    except PageUnusable as error:
        raise CommandRefused(400, f"the page is a file {error.found}") from None
    return wish.page.decode()
