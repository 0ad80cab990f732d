"""Who may read and change the files of the proxy."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.machine.places import Content, NamedPlace, places_of
from proxy.doctor.machine.processes import running_processes

_RIGHTS: Final = Judge("file rights")
_READABLE: Final = Judge("readable by the service")
_OTHERS_WRITE: Final = stat.S_IWOTH
_GROUP_WRITES: Final = stat.S_IWGRP
_OTHERS_READ: Final = stat.S_IRGRP | stat.S_IROTH
# Of a state directory: far more than the certificates of a large site.
_MOST_ENTRIES: Final = 5_000
_TRIAL: Final = "import os, sys; print(*(int(os.access(p, os.R_OK)) for p in sys.argv[1:]))"
_TRIAL_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """The account that the proxy runs as: its parent, which reads the keys."""

    user: int
    groups: tuple[int, ...]
    is_known: bool = True
    """False: no proxy says who it is, and this is the unprivileged user of the doctor."""

    @property
    def name(self) -> str:
        return user_name(self.user)


def user_name(user: int) -> str:
    """The name of a user, or its number if it has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def place_findings(place: NamedPlace, service: Service) -> Iterator[Finding]:
    """Judge one place, and for a state directory what is in it."""
    try:
        facts = place.path.stat()
    except FileNotFoundError:
        if place.is_written:
            yield _RIGHTS.ok(place.key, f"{place.path} is not there yet")
        else:
            found = f"{place.path} does not exist"
            yield _RIGHTS.failure(place.key, found, f"Put the file there, or correct {place.key}.")
        return
    except OSError as error:
        remedy = "Run the doctor as root, or as the user of the service."
        yield _RIGHTS.unknown(place.key, f"{place.path} cannot be looked at: {error.strerror}", remedy)
        return
    faults = [*_faults(place, facts, service), *_open_parents(place)]
    if place.content is Content.STATE and stat.S_ISDIR(facts.st_mode):
        faults += _state_faults(place.path)
    yield from faults
    if not faults:
        yield _RIGHTS.ok(place.key, f"{place.path}, mode {_mode(facts)}, owner {user_name(facts.st_uid)}")


def _faults(place: NamedPlace, facts: os.stat_result, service: Service) -> Iterator[Finding]:
    mode = facts.st_mode
    path = place.path
    found = f"{path}, mode {_mode(facts)}, owner {user_name(facts.st_uid)}"
    if place.content is Content.SECRET:
        yield from _secret_faults(place, mode, found)
    elif mode & _OTHERS_WRITE and not mode & stat.S_ISVTX:
        yield _RIGHTS.failure(place.key, f"{found}: every user may change it", f"chmod o-w {path}")
    elif mode & _GROUP_WRITES and place.content in {Content.CONFIGURATION, Content.STATE}:
        group = f"its group may change it (group {facts.st_gid})"
        yield _RIGHTS.warning(place.key, f"{found}: {group}", f"chmod g-w {path}")
    if place.content in {Content.STATE, Content.SOCKET} and mode & stat.S_IRWXO:
        yield _RIGHTS.warning(place.key, f"{found}: every user may enter or read it", f"chmod o-rwx {path}")
    if service.is_known and facts.st_uid not in {0, service.user} and place.content is not Content.PUBLIC:
        remedy = f"chown {service.name} {path}"
        yield _RIGHTS.warning(place.key, f"{found}: neither root nor the user of the service, {service.name}", remedy)


def _secret_faults(place: NamedPlace, mode: int, found: str) -> Iterator[Finding]:
    """One finding for the mode of a secret, however many bits of it are wrong."""
    others = []
    remedy = f"chmod 600 {place.path}"
    if mode & _OTHERS_READ:
        others, remedy = ["read it"], f"{remedy}. Replace the secret if another user may have read it."
    if mode & (_OTHERS_WRITE | _GROUP_WRITES):
        others.append("change it")
    if others:
        yield _RIGHTS.failure(place.key, f"{found}: others than its owner may {' and '.join(others)}", remedy)


def _open_parents(place: NamedPlace) -> Iterator[Finding]:
    """Directories above, in which another user could put another file in place of this one."""
    if place.content is Content.PUBLIC:
        return
    for parent in place.path.absolute().parents:
        try:
            mode = parent.stat().st_mode
        except OSError:
            continue
        if mode & _OTHERS_WRITE and not mode & stat.S_ISVTX:
            found = f"{parent}, above {place.path}, can be changed by every user (mode {stat.S_IMODE(mode):04o})"
            yield _RIGHTS.failure(place.key, found, f"chmod o-w {parent}")


def _state_faults(directory: Path) -> Iterator[Finding]:
    """Private keys in a state directory that others may read."""
    for path in islice(directory.rglob("*"), _MOST_ENTRIES):
        try:
            facts = path.lstat()
        except OSError:
            continue
        is_secret = stat.S_ISREG(facts.st_mode) and path.name.startswith("key")
        if is_secret and facts.st_mode & _OTHERS_READ:
            found = f"{path}, mode {_mode(facts)}: others than its owner may read this key"
            yield _RIGHTS.failure("state", found, f"chmod 600 {path}, and rotate the key: plexigate certs rotate.")


def _mode(facts: os.stat_result) -> str:
    return f"{stat.S_IMODE(facts.st_mode):04o}"


def unreadable(paths: Sequence[Path], service: Service) -> list[Path] | None:
    """The files that the service cannot read; None if this user cannot find out.

    The kernel is asked with the rights of the service: modes, access lists and security modules
    decide.
    """
    command = [sys.executable, "-I", "-S", "-c", _TRIAL, *map(str, paths)]
    mine = os.geteuid()
    if mine not in {0, service.user}:
        return None
    is_other = mine != service.user
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_TRIAL_SECONDS,
            user=service.user if is_other else None,
            group=service.groups[0] if is_other else None,
            extra_groups=service.groups if is_other else None,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    answers = done.stdout.split()
    if done.returncode != 0 or len(answers) != len(paths):
        return None  # the service's user may not run this Python
    return [path for path, answer in zip(paths, answers, strict=True) if answer == b"0"]


def readable_findings(places: Iterable[NamedPlace], service: Service) -> Iterator[Finding]:
    """Judge whether the service can read what its configuration names."""
    read = [one for one in places if not one.is_written and one.path.is_file()]
    lost = unreadable([one.path for one in read], service)
    if lost is None:
        remedy = f"Run the doctor as root or as {service.name}."
        yield _READABLE.unknown("files", f"only root and {service.name} can find out", remedy)
        return
    for one in [one for one in read if one.path in lost]:
        found = f"{service.name} cannot read {one.path}"
        if not service.is_known:
            found = f"{found}; whether the service can is not known"
            yield _READABLE.unknown(one.key, found, "Run the doctor as root, or as the user of the service.")
            continue
        remedy = f"chown {service.name} {one.path}, and let that user pass all directories above it (chmod o+x)."
        yield _READABLE.failure(one.key, found, remedy)
    if not lost:
        yield _READABLE.ok("files", f"{service.name} can read all {len(read)} files")


def _service(examined: Examined) -> Service:
    """The account of the running parent.

    Without a running proxy it is that of the unit. Without a unit it is that of this command.
    """
    if examined.status is not None:
        for one in running_processes(examined.status):
            return Service(one.user, one.groups)
    try:
        account = pwd.getpwnam(_user_of_unit())
    except KeyError:
        user = os.geteuid()
        return Service(user, (os.getegid(),), is_known=user == 0)
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    return Service(account.pw_uid, (account.pw_gid, *(one for one in groups if one != account.pw_gid)))


def _user_of_unit() -> str:
    """`User=` of plexigate.service with its drop-ins; empty without systemd or without the unit."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return ""
    command = [systemctl, "show", "--property=User", "--value", "plexigate.service"]
    try:
        done = subprocess.run(  # noqa: S603 - of the system
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_TRIAL_SECONDS, text=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _rights(examined: Examined) -> Iterator[Finding]:
    places = places_of(examined.loaded)
    service = _service(examined)
    for place in places:
        yield from place_findings(place, service)


def _readable(examined: Examined) -> Iterator[Finding]:
    yield from readable_findings(places_of(examined.loaded), _service(examined))


FILE_RIGHTS: Final = (
    Checkup("file rights", Area.FILES, _rights),
    Checkup("readable by the service", Area.FILES, _readable),
)
