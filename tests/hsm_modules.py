"""Tokens of two other PKCS#11 modules: openCryptoki's in software, and a TPM in software, each with daemons of its own."""

import ctypes
import grp
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from unittest import mock

import pytest

from certs.hsm.access import TokenAccess
from tests.hsm_tokens import SO_PIN, SoftHsm, tool

SHORT_PIN: Final = "47110815"
"""openCryptoki takes four to eight characters."""
_SHORT_SO_PIN: Final = "08154711"
_FIRST_SO_PIN: Final = "87654321"  # of each new token of openCryptoki
_FIRST_PIN: Final = "12345678"
_SLOTS: Final = (3, 4)  # in the configuration of the package, its software token is in slot 3
_LIBRARIES: Final = Path("/usr/lib")
_SECONDS: Final = 10.0
_CLONE_FS: Final = 0x0000_0200  # linux/sched.h
_CLONE_NEWNS: Final = 0x0002_0000
_CLONE_NEWIPC: Final = 0x0800_0000


@dataclass(frozen=True, slots=True)
class Daemons:
    """What a module talks to; a test may end it and begin it again."""

    commands: Sequence[tuple[Sequence[str], Callable[[], bool]]]
    """Each with how to see that it has begun, in order."""
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """None: as we are."""
    end_by: signal.Signals = signal.SIGTERM
    left: Sequence[Path] = ()
    """Files that are there after the end."""
    _running: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def begin(self) -> None:
        for command, has_begun in self.commands:
            with self.log.open("ab") as log:
                process = subprocess.Popen(
                    command,
                    env={**os.environ, **self.environment},
                    user=self.user,
                    group=self.user and "pkcs11",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            self._running.append(process)
            ends = time.monotonic() + _SECONDS
            while not has_begun():
                assert process.poll() is None, self.log.read_text()
                assert time.monotonic() < ends, self.log.read_text()
                time.sleep(0.01)

    def end(self) -> None:
        while self._running:
            process = self._running.pop()
            process.send_signal(self.end_by)
            process.wait(_SECONDS)
        for path in self.left:
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class OpenCryptoki(SoftHsm):
    """Its software tokens, in a mount namespace of this thread and its children: all of its paths are fixed."""

    daemons: Daemons
    free: list[int]

    def init_token(self, label: str, pin: str = SHORT_PIN) -> TokenAccess:
        slot = str(self.free.pop(0))

        def pkcsconf(*options: str, typed: str = "") -> None:
            command = [tool("pkcsconf", "opencryptoki"), "-c", slot, *options]
            subprocess.run(command, input=typed, check=True, capture_output=True, text=True)

        pkcsconf("-I", "-S", _FIRST_SO_PIN, typed=f"{label}\n")
        pkcsconf("-P", "-S", _FIRST_SO_PIN, "-n", _SHORT_SO_PIN)
        pkcsconf("-u", "-S", _SHORT_SO_PIN, "-n", _FIRST_PIN)
        pkcsconf("-p", "-U", _FIRST_PIN, "-n", pin)
        return self.access(label, pin)


@dataclass(frozen=True, slots=True)
class Tpm(SoftHsm):
    """A TPM 2.0 in software (swtpm) behind the resource manager tpm2-abrmd."""

    daemons: Daemons

    def init_token(self, label: str, pin: str = SHORT_PIN) -> TokenAccess:
        # not by C_InitToken: such a token lacks RSA-PSS
        command = [tool("tpm2_ptool", "libtpm2-pkcs11-tools"), "addtoken", "--pid=1", f"--label={label}"]
        subprocess.run([*command, f"--sopin={SO_PIN}", f"--userpin={pin}"], check=True, capture_output=True)
        return self.access(label, pin)


@contextmanager
def opencryptoki(directory: Path) -> Iterator[OpenCryptoki]:
    """openCryptoki with two slots that were never set up. Needs root."""
    module = _module("libopencryptoki.so", "opencryptoki")
    slots = "".join(
        f"slot {slot}\n{{\nstdll = libpkcs11_sw.so\ntokversion = 3.12\ntokname = token{slot}\n}}\n" for slot in _SLOTS
    )
    settings = directory / "opencryptoki.conf"
    settings.write_text(f"version opencryptoki-3.23\n{slots}")
    with _own_namespaces():
        _mount("--bind", settings, "/etc/opencryptoki/opencryptoki.conf")
        for place in ("/run", "/dev/shm", "/var/lib/opencryptoki", "/var/log/opencryptoki"):  # noqa: S108 - as it has them
            _mount("-t", "tmpfs", "tmpfs", place)
        group = grp.getgrnam("pkcs11").gr_gid
        for place in (
            *("/run/opencryptoki", "/run/lock", "/run/lock/opencryptoki", "/var/log/opencryptoki"),
            *("/var/lib/opencryptoki", "/var/lib/opencryptoki/HSM_MK_CHANGE"),
            *(f"/var/lib/opencryptoki/token{slot}{further}" for slot in _SLOTS for further in ("", "/TOK_OBJ")),
        ):
            Path(place).mkdir(exist_ok=True)
            os.chown(place, 0, group)
            Path(place).chmod(0o770)
        command = [tool("pkcsslotd", "opencryptoki"), "-f"]
        sockets = [Path("/run/opencryptoki", name) for name in ("pkcsslotd.socket", "pkcsslotd.admin.socket")]
        daemons = Daemons(
            [(command, sockets[0].exists)],
            directory / "daemons.log",
            user="pkcsslotd",  # as root it begins once more, in the background
            end_by=signal.SIGKILL,  # it goes on after a SIGTERM while somebody uses it
            left=sockets,
        )
        daemons.begin()
        try:
            yield OpenCryptoki(directory, module, daemons, [*_SLOTS])
        finally:
            daemons.end()


@contextmanager
def tpm(directory: Path) -> Iterator[Tpm]:
    """A TPM without tokens."""
    module = _module("libtpm2_pkcs11.so", "libtpm2-pkcs11-1")
    for name in ("tpm", "store"):
        (directory / name).mkdir()
    chip, bus = directory / "tpm.sock", directory / "bus.sock"
    settings = directory / "bus.conf"
    settings.write_text(
        f"<busconfig><type>session</type><listen>unix:path={bus}</listen><auth>EXTERNAL</auth><policy context='default'>"
        "<allow user='*'/><allow own='*'/><allow send_type='*'/><allow receive_type='*'/></policy></busconfig>"
    )
    swtpm = [tool("swtpm", "swtpm"), "socket", "--tpm2", "--tpmstate", f"dir={directory}/tpm"]
    swtpm += ["--server", f"type=unixio,path={chip}", "--ctrl", f"type=unixio,path={chip}.ctrl"]
    broker = [tool("tpm2-abrmd", "tpm2-abrmd"), "--session", "--allow-root", f"--tcti=swtpm:path={chip}"]
    broker += ["--max-connections=100"]  # each worker has two for each copy of the module
    environment = {
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}",
        "TPM2_PKCS11_TCTI": "tabrmd:bus_type=session",
        "TPM2TOOLS_TCTI": "tabrmd:bus_type=session",
        "TPM2_PKCS11_STORE": str(directory / "store"),
    }

    def has_bus_name() -> bool:
        command = ["pkcs11-tool", "--module", str(module), "--list-slots"]
        return (
            subprocess.run(command, env={**os.environ, **environment}, check=False, capture_output=True).returncode == 0
        )

    daemons = Daemons(
        [
            ([*swtpm, "--flags", "not-need-init,startup-clear"], chip.exists),
            ([tool("dbus-daemon", "dbus-daemon"), f"--config-file={settings}", "--nofork", "--nopidfile"], bus.exists),
            (broker, has_bus_name),
        ],
        directory / "daemons.log",
        environment,
    )
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, environment))
        stack.callback(daemons.end)
        daemons.begin()
        command = [tool("tpm2_ptool", "libtpm2-pkcs11-tools"), "init"]
        subprocess.run(command, check=True, capture_output=True)
        yield Tpm(directory, module, daemons)


MODULES: Final = [
    pytest.param(
        opencryptoki,
        id="opencryptoki",
        marks=pytest.mark.skipif(os.geteuid() != 0, reason="run as root: openCryptoki has its files in fixed places"),
    ),
    pytest.param(tpm, id="tpm"),
]
"""What makes a module without tokens; SoftHSM is that of all other tests."""
ON_REQUEST: Final = [
    pytest.param(*one.values, id=one.id, marks=[*one.marks, pytest.mark.every_module]) for one in MODULES
]
"""The same, for a test that SoftHSM has as well."""


def _module(name: str, package: str) -> Path:
    found = sorted(_LIBRARIES.glob(f"*/pkcs11/{name}"))
    assert found, f"{name} is not here: apt-get install {package}"
    return found[0]


@contextmanager
def _own_namespaces() -> Iterator[None]:
    """Mounts and shared memory that nobody else sees, for this thread and what it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _CLONE_NEWNS | _CLONE_NEWIPC
    directory = Path.cwd()
    before = [os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("mnt", "ipc")]
    # Python 3.11 has neither
    assert libc.unshare(_CLONE_FS | flags) == 0, os.strerror(ctypes.get_errno())
    try:
        _mount("--make-rprivate", "/")
        yield
    finally:
        for descriptor in before:
            assert libc.setns(descriptor, 0) == 0, os.strerror(ctypes.get_errno())
            os.close(descriptor)
        os.chdir(directory)


def _mount(*words: "str | Path") -> None:
    subprocess.run([tool("mount", "mount"), *words], check=True)
