"""All checks of `plexigate doctor`, in the order of the report."""

from proxy.doctor.checkup import Checkup
from proxy.doctor.running_proxy import RUNNING_PROXY


def checkups() -> tuple[Checkup, ...]:
    """The checks. Each name is there once."""
    return (*RUNNING_PROXY,)
