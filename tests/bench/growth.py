"""Whether the cost grows with what there is: connections, names, routes. Plexigate beside itself."""

from collections.abc import Callable
from contextlib import ExitStack

from tests.bench import exchanges, load
from tests.bench.measuring import CONNECTIONS, Scene, cpu_per_operation
from tests.bench.report import OURS, Round
from tests.bench.servers import MESSAGE, Server
from tests.certificates import Authority

FEW, MANY = 10, 5_000
NAMES = ROUTES = 1_000
FLAT = 1.1
# the caches of the processor are full then: nginx grows by 1.2
MANY_CONNECTIONS = 1.12
MOST_LOADED = 1.15
_ROUNDS = 7
_HANDSHAKES = 256
_SECONDS = 1.0

Operate = Callable[[], int]


def connections(scene: Scene) -> list[Round]:
    """A request, ten at a time: on ten connections, and in turn on 5,000."""
    server = scene.ours
    with ExitStack() as stack:
        few, many = (
            stack.enter_context(exchanges.clients(server, scene.bench.directory, exchanges.GET, count))
            for count in (FEW, MANY)
        )
        return _rounds(f"with {FEW}", (server, _requests(few, FEW)), (server, _requests(many, FEW)))


def names(scene: Scene) -> list[Round]:
    """A full handshake and one request, for 1,000 identities in turn, each with a certificate of its own, and for one."""
    directory = scene.bench.directory / "names"
    directory.mkdir(exist_ok=True)
    authority = Authority(directory)
    hosts = [f"name-{number}.localhost" for number in range(NAMES)]
    identities = [_identity(authority, number, host) for number, host in enumerate(hosts)]

    def handshakes(server: Server, asked: list[str]) -> tuple[Server, Operate]:
        return server, lambda: load.handshakes(server, _HANDSHAKES, authority.path, at_once=load.MANY, names=asked)

    with (
        scene.bench.plexigate(scene.backend, "one-name", identities[0]) as few,
        scene.bench.plexigate(scene.backend, "names", "".join(identities)) as many,
    ):
        return _rounds("with 1", handshakes(few, hosts[:1]), handshakes(many, hosts))


def routes(scene: Scene) -> list[Round]:
    """A request that goes by the last of 1,000 routes, and the same without them."""
    paths = [f"/route-{number}" for number in range(ROUTES)]
    further = "".join(f'[[route]]\nhost = "localhost"\npath = "{path}"\nupstream = "files"\n' for path in paths)
    files = scene.bench.directory / "files"
    (files / paths[-1][1:]).mkdir(exist_ok=True)
    (files / (paths[-1] + MESSAGE)[1:]).write_bytes((files / MESSAGE[1:]).read_bytes())
    asked = exchanges.request("last-route", f"GET {paths[-1]}{MESSAGE}")
    with ExitStack() as stack:
        both = scene.ours, stack.enter_context(scene.bench.plexigate(scene.backend, "routes", further))
        few, many = (
            (server, stack.enter_context(exchanges.clients(server, scene.bench.directory, asked, CONNECTIONS)))
            for server in both
        )
        return _rounds("with 1", (few[0], _requests(few[1], CONNECTIONS)), (many[0], _requests(many[1], CONNECTIONS)))


_LOADED = """
[[route]]
host = "localhost"
path = "/loaded"
methods = ["GET"]
headers = { Accept-Language = "*" }
query = { v = "2" }
allow = ["127.0.0.0/8"]
strip_prefix = "/loaded"
security_headers = true
hsts = true
request_headers = { set = { X-Real-IP = "{client}" }, remove = ["X-Debug"] }
response_headers = { set = { X-Host = "{host}" }, add = { Vary = "Origin" }, remove = ["Server"] }
rate = { requests_per_second = 1_000_000.0, burst = 1_000_000, per = "client" }
upstream = "files"
"""


def loaded(scene: Scene) -> list[Round]:
    """A request by a route with conditions, networks, a rate, another path and other fields, and by a plain one."""
    plain, full = (
        exchanges.request(name, f"GET {path}{MESSAGE}?v=2") for name, path in (("plain", ""), ("loaded", "/loaded"))
    )
    with ExitStack() as stack:
        server = stack.enter_context(scene.bench.plexigate(scene.backend, "loaded", _LOADED))
        few, many = (
            stack.enter_context(exchanges.clients(server, scene.bench.directory, asked, CONNECTIONS))
            for asked in (plain, full)
        )
        return _rounds("plain", (server, _requests(few, CONNECTIONS)), (server, _requests(many, CONNECTIONS)))


def _identity(authority: Authority, number: int, host: str) -> str:
    files = authority.issue(f"name-{number}", (host,))
    lines = [f"[identity.name-{number}]", f'names = ["{host}"]']
    lines += [f'certificate = "{files.certificate}"', f'key = "{files.key}"', ""]
    return "\n".join(lines)


def _requests(clients: exchanges.Clients, in_flight: int) -> Operate:
    return lambda: clients.run(_SECONDS, in_flight=in_flight).exchanges


def _rounds(few_are: str, few: tuple[Server, Operate], many: tuple[Server, Operate]) -> list[Round]:
    """Microseconds of CPU: the first is the yardstick of the second. Each is done once before."""
    for _, operate in (few, many):
        operate()
    return [
        {
            name: cpu_per_operation(server, lambda _, operate=operate: operate())  # type: ignore[misc]
            for name, (server, operate) in ((few_are, few), (OURS, many))
        }
        for _ in range(_ROUNDS)
    ]
