"""The rights of a process: its account, core dumps, descriptors, and its end with the parent.

The parent may stay root: it binds low ports, and reads keys at every reload. Workers see the
traffic; they run as `user` from their first instruction on.
"""

import ctypes
import grp
import os
import pwd
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

from config.loading.loaded import LoadedConfig
from config.values.problems import Problem, shown

# Numbers of prctl(2), which Python does not know.
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4

_OURS: Final = __file__


@dataclass(frozen=True, slots=True)
class ProcessAccount:
    """The user and the groups of a worker, by number; `name` is that of the user."""

    user: int
    group: int
    groups: tuple[int, ...]
    name: str


def account_of(loaded: LoadedConfig) -> tuple[ProcessAccount | None, list[Problem]]:
    """The account of workers by the configuration, and what is wrong with it.

    None: workers have the account of the parent.
    """
    user = loaded.config.user
    group = loaded.config.group
    if user is None:
        return None, _without_user(loaded)
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        allowed = "the name of a user of this system (adduser --system --group plexigate makes one)"
        return None, [loaded.file.error(("user",), shown(user), allowed)]
    try:
        group_id = entry.pw_gid if group is None else grp.getgrnam(group).gr_gid
    except KeyError:
        return None, [loaded.file.error(("group",), shown(group or ""), "the name of a group of this system")]
    if os.geteuid() == entry.pw_uid:
        return None, []
    if os.geteuid() != 0:
        found = f"{shown(user)}, while this process runs as {shown(_own_name())}"
        return None, [
            loaded.file.error(
                ("user",),
                found,
                "a start as root; or leave the key out: all processes then run as the user that starts the proxy",
            )
        ]
    groups = tuple(one for one in os.getgrouplist(user, group_id) if one != 0)
    account = ProcessAccount(entry.pw_uid, group_id, groups, user)
    if not _can_run_us(account):
        found = f"{shown(user)}, who may not run {sys.executable} with the modules of Plexigate"
        allowed = "an installation that this user may read and run (an interpreter below /root is out of reach)"
        return None, [loaded.file.error(("user",), found, allowed)]
    return account, []


def _can_run_us(account: ProcessAccount) -> bool:
    """Try it. Modes of all directories on the way, access lists and security modules decide."""
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-S", "-c", f"import os; os.stat({_OURS!r})"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            user=account.user,
            group=account.group,
            extra_groups=account.groups,
        )
    except OSError:
        return False
    return done.returncode == 0


def _without_user(loaded: LoadedConfig) -> list[Problem]:
    if loaded.config.group is not None:
        return [loaded.file.error(("group",), shown(loaded.config.group), 'no such key without "user"')]
    if os.geteuid() == 0:
        better = "an unprivileged user: without it the workers, which parse the bytes of clients, run as root"
        return [loaded.file.warning(("user",), "no user, although the proxy starts as root", better)]
    return []


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def keep_memory_private() -> None:
    """Write no core dump, and let no other process of this user read the memory: it has keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with_parent() -> None:
    """Have the kernel send SIGKILL when the thread ends that started this process.

    Usually the process ends before, because its channel ends.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def outlive_parent() -> None:
    """Undo `die_with_parent`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)


def raise_descriptor_limit() -> None:
    """Raise the soft limit of file descriptors to the hard limit.

    The soft limit of a shell or a service is meant for programs that need few.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
