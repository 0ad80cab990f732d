"""The requests that only the Unix socket answers: each asks one part of the parent process.

GET  /status                              the whole proxy
GET  /adoption                            the handshakes of the last 30 days, see `observe.adoption`
POST /reload?dry_run=1                    reads the configuration again; 409 if there are problems
POST /upgrade?program=PATH&seconds=N      starts another version, and tells each step
POST /keys/try?token=T&serial=S&object=O&id=HEX   what uses a key, and which workers can sign by it
POST /upstreams/UPSTREAM/SERVER/drain?seconds=N&fleet=1   no new requests; `undrain` takes it back
GET  /alerts                              what is open, the most urgent first, and what may follow
POST /alerts/test                         a test alert to each receiver, and what each did
GET  /maintenance                         the routes that are out of service
POST /maintenance/on?route=ROUTE&fleet=1  takes a route out; the body is the page, if there is one
POST /maintenance/off?route=ROUTE&fleet=1 puts it back
GET  /certificates                        all issued credentials
GET  /certificates/NAME/live              what each worker shows for an identity
POST /certificates/NAME/rotate            a new certificate; tells each step
POST /certificates/NAME/rollback          the previous one; 409 if it cannot be
GET  /payload                             the rings, without secrets
GET  /payload-identity                    what clients of sessions pin
POST /payload-identity                    another one, which clients have to pin
GET  /payload-test                        whether each key encrypts and decrypts, without secrets
POST /payload/RING/rotate                 a new key
POST /payload/RING/VERSION/retire         no more messages under it
POST /payload/RING/VERSION/revoke         the same at once, and for good
GET  /payload/RING/export                 the keys themselves, for clients
GET  /fleet                               members, the leader, and who asks to join
POST /fleet/invite                        the token of an invitation
POST /fleet/join                          asks to join; the body is that token
POST /fleet/approve?node=NODE             hands the key of the fleet to a node that asks
POST /fleet/recover                       joins by the sealing key of a node that is lost
POST /fleet/leader?to=NODE                lets another node lead; without a node any other one
POST /fleet/reload                        reloads all nodes, or none
POST /fleet/expel?node=NODE               gives all other members another key
POST /fleet/accept-restore                uses a store that has lost changes
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from config.values.pkcs11_uri import Pkcs11Uri
from proxy.admin.requests.contracts import Control, FleetControl
from proxy.admin.requests.problems import CommandRefused, json_answer, problem, steps_answer
from proxy.admin.requests.wishes import MaintenanceWish, RotationWish
from proxy.api.certificates import CertificatesDocument
from proxy.api.commands import DrainDocument, MaintainedRow, MaintenanceDocument, MaintenanceEnd
from proxy.api.fleet import JoinDocument
from proxy.observe.status import status

_UPGRADE: Final = "/upgrade"
# The new version is watched for three seconds.
_LEAST_UPGRADE_SECONDS: Final = 5.0
_MOST_UPGRADE_SECONDS: Final = 3_600.0
_LONGEST_DRAIN_SECONDS: Final = 30 * 86_400.0


class Commands:
    def __init__(self, control: Control, metrics_addresses: Callable[[], Sequence[str]]) -> None:
        self._control = control
        self._metrics_addresses = metrics_addresses

    def add_to(self, router: web.UrlDispatcher) -> None:
        control = self._control
        _get(router, "/status", self._status)
        _get(router, "/adoption", lambda _: control.adopting.document())
        router.add_post("/reload", self._reload)
        router.add_post(_UPGRADE, self._upgrade)
        _post(router, "/keys/try", lambda request: control.keys.of(_key(request.query)))
        # the name of a server is percent-encoded: it has slashes
        server = "/upstreams/{upstream}/{server}"
        _post(router, f"{server}/drain", self._drain)
        _post(router, f"{server}/undrain", self._undrain)
        _get(router, "/alerts", lambda _: control.alerts.listed())
        _post(router, "/alerts/test", lambda _: control.alerts.test())
        _get(router, "/maintenance", self._maintained)
        _post(router, "/maintenance/on", self._maintain)
        _post(router, "/maintenance/off", self._end_maintenance)
        _get(router, "/certificates", self._certificates)
        _get(router, "/certificates/{name}/live", lambda request: control.rotation.shown(_name(request)))
        router.add_post("/certificates/{name}/rotate", self._rotate)
        router.add_post("/certificates/{name}/rollback", self._roll_back)
        _get(router, "/payload", lambda _: control.payload.listed())
        _get(router, "/payload-identity", lambda _: control.payload.identity())
        _post(router, "/payload-identity", lambda _: control.payload.replace_identity())
        _get(router, "/payload-test", lambda _: control.payload.tested())
        _get(router, "/payload/{name}/export", lambda request: control.payload.exported(_name(request)))
        _post(router, "/payload/{name}/rotate", lambda request: control.payload.rotate(_name(request)))
        version = r"/payload/{name}/{version:\d{1,9}}"
        _post(router, f"{version}/retire", lambda request: control.payload.retire(_name(request), _version(request)))
        _post(router, f"{version}/revoke", lambda request: control.payload.revoke(_name(request), _version(request)))
        _get(router, "/fleet", lambda _: self._fleet.listed())
        _post(router, "/fleet/invite", lambda _: self._fleet.invite())
        _post(router, "/fleet/join", self._join)
        _post(router, "/fleet/approve", lambda request: self._fleet.approve(request.query.get("node", "")))
        _post(router, "/fleet/recover", lambda _: self._fleet.recover())
        _post(router, "/fleet/leader", lambda request: self._fleet.give_lead(request.query.get("to") or None))
        _post(router, "/fleet/reload", lambda _: self._fleet.reload())
        _post(router, "/fleet/expel", lambda request: self._fleet.expel(request.query.get("node", "")))
        _post(router, "/fleet/accept-restore", lambda _: self._fleet.accept_restore())

    @property
    def _fleet(self) -> FleetControl:
        if self._control.fleet is None:
            raise CommandRefused(404, "this configuration has no [fleet]")
        return self._control.fleet

    async def _status(self, _request: web.Request) -> dict[str, Any]:
        return {**status(await self._control.figures.scrape()), "metrics": self._metrics_addresses()}

    async def _reload(self, request: web.Request) -> web.Response:
        value = request.query.get("dry_run", "0")
        if value not in {"0", "1"}:
            raise CommandRefused(400, f"dry_run is {value[:20]!a}: write dry_run=1, or leave it out")
        report = await self._control.reloads.reload(dry_run=value == "1")
        return json_answer({**asdict(report), "dry_run": value == "1"}, 200 if report.ok else 409)

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        bounds = (_LEAST_UPGRADE_SECONDS, _MOST_UPGRADE_SECONDS)
        seconds = _seconds(request, bounds, "a number")
        return await steps_answer(request, self._control.upgrade.upgrade(request.query.get("program") or None, seconds))

    async def _maintained(self, _request: web.Request) -> MaintenanceDocument:
        return self._control.maintenance.listed()

    async def _maintain(self, request: web.Request) -> MaintainedRow:
        query = request.query
        wish = MaintenanceWish(
            _route(request),
            query.get("retry_after", ""),
            query.get("allow", ""),
            await request.read(),
            page_is_html=query.get("page", "html") == "html",
            for_fleet=self._is_for_fleet(request),
        )
        return await self._control.maintenance.begin(wish)

    async def _end_maintenance(self, request: web.Request) -> MaintenanceEnd:
        return await self._control.maintenance.end(_route(request), for_fleet=self._is_for_fleet(request))

    async def _drain(self, request: web.Request) -> DrainDocument:
        seconds = _seconds(request, (0.0, _LONGEST_DRAIN_SECONDS), "a number of seconds")
        for_fleet = self._is_for_fleet(request)
        return await self._control.servers.drain(*_server(request), seconds, for_fleet=for_fleet)

    async def _undrain(self, request: web.Request) -> DrainDocument:
        return await self._control.servers.undrain(*_server(request), for_fleet=self._is_for_fleet(request))

    def _is_for_fleet(self, request: web.Request) -> bool:
        """Whether all nodes shall do it. Raises `CommandRefused` if there are no others."""
        is_wished = request.query.get("fleet") == "1"
        if is_wished:
            _ = self._fleet
        return is_wished

    async def _join(self, request: web.Request) -> JoinDocument:
        return await self._fleet.join((await request.read()).decode(errors="replace"))

    async def _certificates(self, _request: web.Request) -> CertificatesDocument:
        return {"certificates": self._control.rotation.certificates()}

    async def _rotate(self, request: web.Request) -> web.StreamResponse:
        wish = RotationWish.of_query(request.query)
        steps = self._control.rotation.rotate_certificate(_name(request), request.query.get("credential"), wish)
        return await steps_answer(request, steps)

    async def _roll_back(self, request: web.Request) -> web.Response:
        slot = request.query.get("credential")
        results = await self._control.rotation.roll_back_certificate(_name(request), slot)
        return json_answer({"results": results}, 200 if all(one["ok"] for one in results) else 409)


def while_nothing_changes(control: Control) -> Middleware:
    """The middleware that refuses other commands during an upgrade.

    What they change would be lost with this process, or would not be known to the next one.
    """

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        reason = control.upgrade.why_nothing_changes
        if reason is not None and request.method == "POST" and request.path != _UPGRADE:
            return problem(409, f"{reason}; ask again when that has ended")
        return await handler(request)

    return refuse


_Ask = Callable[[web.Request], Awaitable[Mapping[str, Any]]]


def _get(router: web.UrlDispatcher, path: str, ask: _Ask) -> None:
    router.add_get(path, _answering(ask))


def _post(router: web.UrlDispatcher, path: str, ask: _Ask) -> None:
    router.add_post(path, _answering(ask))


def _answering(ask: _Ask) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return json_answer(await ask(request))

    return answer


def _name(request: web.Request) -> str:
    return request.match_info["name"]


def _version(request: web.Request) -> int:
    return int(request.match_info["version"])


def _server(request: web.Request) -> tuple[str, str]:
    return request.match_info["upstream"], request.match_info["server"]


def _route(request: web.Request) -> str:
    route = request.query.get("route", "")
    if not route:
        raise CommandRefused(400, "route says which route: write it")
    return route


def _key(query: Mapping[str, str]) -> Pkcs11Uri:
    try:
        key_id = bytes.fromhex(query.get("id", ""))
    except ValueError:
        raise CommandRefused(400, f"id is {query['id'][:20]!a}: write hexadecimal digits") from None
    if not query.get("token") or not query.get("object"):
        raise CommandRefused(400, "token and object say which key: write both")
    return Pkcs11Uri(query["token"], query.get("serial"), object=query["object"], id=key_id or None)


def _seconds(request: web.Request, bounds: tuple[float, float], what: str) -> float | None:
    """The time that a request asks for; None for the usual one."""
    text = request.query.get("seconds")
    if text is None:
        return None
    least, most = bounds
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not least <= seconds <= most:
        raise CommandRefused(400, f"seconds is {text[:20]!a}: write {what} from {least:.0f} to {most:.0f}")
    return seconds
