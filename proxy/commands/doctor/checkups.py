"""All checks of `plexigate doctor`, in the order of the report."""

from proxy.doctor.checkup import Checkup
from proxy.doctor.clock import CLOCK
from proxy.doctor.disk import DISK
from proxy.doctor.file_rights import FILE_RIGHTS
from proxy.doctor.handshakes.checkups import HANDSHAKES
from proxy.doctor.interpreter import INTERPRETER
from proxy.doctor.kernel import KERNEL
from proxy.doctor.openssl import OPENSSL
from proxy.doctor.ports import PORTS
from proxy.doctor.running_proxy import RUNNING_PROXY


def checkups() -> tuple[Checkup, ...]:
    """The checks. Each name is there once."""
    return (*CLOCK, *INTERPRETER, *OPENSSL, *KERNEL, *FILE_RIGHTS, *DISK, *PORTS, *RUNNING_PROXY, *HANDSHAKES)
