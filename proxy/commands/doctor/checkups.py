"""All checks of `plexigate doctor`, in the order of the report."""

import asyncio

from config.loading.loaded import LoadedConfig
from proxy.api.fleet import FleetTrialDocument
from proxy.commands.check import check_apart
from proxy.doctor.checkup import Checkup
from proxy.doctor.configuration import configuration_checkups
from proxy.doctor.credentials.certificates import CERTIFICATES
from proxy.doctor.credentials.issuers import ISSUERS
from proxy.doctor.credentials.served_chains import SERVED_CHAINS
from proxy.doctor.credentials.speed import SPEED
from proxy.doctor.credentials.token_keys import TOKEN_KEYS
from proxy.doctor.fleet import fleet_checkups
from proxy.doctor.handshakes.checkups import HANDSHAKES
from proxy.doctor.http3 import HTTP3
from proxy.doctor.machine.clock import CLOCK
from proxy.doctor.machine.disk import DISK
from proxy.doctor.machine.file_rights import FILE_RIGHTS
from proxy.doctor.machine.interpreter import INTERPRETER
from proxy.doctor.machine.kernel import KERNEL
from proxy.doctor.machine.openssl import OPENSSL
from proxy.doctor.machine.ports import PORTS
from proxy.doctor.names import NAMES
from proxy.doctor.payload_rings import PAYLOAD_RINGS
from proxy.doctor.running_proxy import RUNNING_PROXY
from proxy.doctor.upstreams import UPSTREAMS


def _fleet_trial(loaded: LoadedConfig) -> FleetTrialDocument:
    # imported here: most proxies have no fleet
    from proxy.supervisor.membership.examination import examined

    return asyncio.run(examined(loaded))


def checkups() -> tuple[Checkup, ...]:
    """The checks. Each name is there once."""
    return (
        *(*CLOCK, *INTERPRETER, *OPENSSL, *KERNEL),
        *configuration_checkups(check_apart),
        *(*FILE_RIGHTS, *DISK),
        *(*PORTS, *NAMES, *fleet_checkups(_fleet_trial)),
        *(*CERTIFICATES, *SERVED_CHAINS, *ISSUERS),
        *(*TOKEN_KEYS, *PAYLOAD_RINGS),
        *UPSTREAMS,
        *RUNNING_PROXY,
        *(*HANDSHAKES, *HTTP3),
        *SPEED,
    )
