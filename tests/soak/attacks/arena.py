"""Where attacks are tried: Plexigate with default limits and two workers, nginx beside it, one backend and one certificate."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import nginx_user
from tests.integration.stage import memory_of, workers_of
from tests.ports import lasting_port
from tests.programs import program
from tests.soak.attacks import honest
from tests.soak.attacks.attack import DEFAULTS, Attack, Settings, Target
from tests.soak.scenes import Scene, scene

WORKERS = 2
_NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr notice;
worker_processes {workers};
worker_rlimit_nofile {descriptors};
{user}
events {{ worker_connections {descriptors}; }}
http {{
    access_log off;
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    scgi_temp_path {directory}/nginx-scgi;
    map $http_upgrade $connection_to_backend {{ default Upgrade; "" ""; }}
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; }}
    server {{
        listen 127.0.0.1:{port} ssl reuseport backlog=4096;
        server_name localhost;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        client_max_body_size 100m;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection $connection_to_backend;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How honest clients of one target fared without an attack and under it, and what of that was too much."""

    calm: honest.Verdict
    held: honest.Verdict
    wrong: list[str]


@dataclass(frozen=True, slots=True)
class Arena:
    """Running targets."""

    scene: Scene
    plexigate: Target
    descriptors: int

    @contextmanager
    def nginx(self) -> Iterator[Target]:
        """The yardstick, until the block ends."""
        port, directory = lasting_port(), self.scene.directory
        text = _NGINX.format(
            directory=directory,
            workers=WORKERS,
            user=nginx_user(),
            backend=self.scene.backend,
            port=port,
            descriptors=self.descriptors,
            certificate=self.scene.certificate,
            key=self.scene.key,
        )
        configuration = directory / "nginx.conf"
        configuration.write_text(text)
        # The error log of the moment before it has read its configuration has to go somewhere writable too.
        command = ["/usr/sbin/nginx", "-e", "stderr", "-c", str(configuration)]
        with program(command, lambda line: "start worker process " in line or None) as running:
            yield Target("nginx", running.pid, port, self.plexigate.ca)


@contextmanager
def arena(settings: Settings = DEFAULTS) -> Iterator[Arena]:
    """Run backend and Plexigate until the block ends."""
    with tempfile.TemporaryDirectory(prefix="plexigate-attacks-") as place:
        metrics = lasting_port()
        top = settings.top.replace("{metrics}", str(metrics))
        route = f'[[route]]\nhost = "localhost"\nupstream = "backend"\n{settings.route}\n'
        few = ("sh", "-c", f'ulimit -n {settings.descriptors} && exec "$@"', "sh")
        with scene(Path(place), few, listener='bind = "127.0.0.1:0"', workers=WORKERS, top=top, route=route) as made:
            others = {"metrics": metrics} if "{metrics}" in settings.top else {}
            target = Target("plexigate", made.running.pid, made.port, made.authority.path, others)
            yield Arena(made, target, settings.descriptors)


def tried(attack: Attack, target: Target, count: int = honest.COUNT) -> Outcome:
    """Try it: so many honest clients while it is held, a third of them before."""
    calm = honest.fare(target.port, target.ca, count // 3, attack.neighbours)
    workers = workers_of(target.pid)
    before = sum(memory_of(pid) for pid in workers)
    with attack.hold(target):
        held = honest.fare(target.port, target.ca, count, attack.neighbours)
        growth = sum(memory_of(pid) for pid in workers) - before
    return Outcome(calm, held, attack.allowed.judge(calm, held, growth))
