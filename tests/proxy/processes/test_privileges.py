"""Who workers are, and what can be got out of them: real accounts, real processes."""

import grp
import os
import pwd
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.loading.loader import load
from proxy.processes.privileges import ProcessAccount, account_of, raise_descriptor_limit
from tests.accounts import AS_SOMEBODY_ELSE
from tests.configurations import Site
from tests.waiting import is_alive


def asked(site: Site, **names: str) -> tuple[ProcessAccount | None, list[tuple[str, str, bool]]]:
    """What comes of `user` and `group`: the account, and key, finding and severity of each problem."""
    keys = "".join(f'{key} = "{name}"\n' for key, name in names.items())
    account, problems = account_of(load(site.write(keys + site.minimal)))
    return account, [(problem.key, problem.found, problem.is_error) for problem in problems]


class TestAccount:
    @AS_SOMEBODY_ELSE
    def test_user_brings_its_groups_but_never_that_of_root(self, site: Site) -> None:
        entry = pwd.getpwnam("nobody")
        account, problems = asked(site, user="nobody")
        assert problems == []
        assert account is not None
        assert (account.user, account.group, account.name) == (entry.pw_uid, entry.pw_gid, "nobody")
        assert 0 not in account.groups

    @AS_SOMEBODY_ELSE
    def test_group_may_be_another_one(self, site: Site) -> None:
        account, _ = asked(site, user="nobody", group="daemon")
        assert account is not None
        assert account.group == grp.getgrnam("daemon").gr_gid
        assert account.group in account.groups

    @pytest.mark.parametrize("names", [{"user": "nobody-of-that-name"}, {"user": "nobody", "group": "no-such-group"}])
    def test_unknown_name_is_an_error_at_its_key(self, site: Site, names: dict[str, str]) -> None:
        key, name = list(names.items())[-1]
        assert asked(site, **names) == (None, [(key, f'"{name}"', True)])

    def test_own_user_needs_no_change(self, site: Site) -> None:
        assert asked(site, user=pwd.getpwuid(os.geteuid()).pw_name) == (None, [])

    def test_group_alone_says_nothing(self, site: Site) -> None:
        assert asked(site, group="daemon") == (None, [("group", '"daemon"', True)])

    @pytest.mark.skipif(os.geteuid() != 0, reason="run as root: it is about root")
    def test_user_must_be_able_to_run_the_program(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hidden = tmp_path / "hidden"
        hidden.mkdir(mode=0o700)
        (hidden / "python").symlink_to("/usr/bin/python3")
        monkeypatch.setattr(sys, "executable", str(hidden / "python"))
        account, ((key, found, is_error),) = asked(site, user="nobody")
        assert (account, key, is_error) == (None, "user", True)
        assert str(hidden / "python") in found

    @pytest.mark.skipif(os.geteuid() != 0, reason="run as root: it is about root")
    def test_root_without_a_user_is_warned(self, site: Site) -> None:
        assert asked(site) == (None, [("user", "no user, although the proxy starts as root", False)])

    def test_others_are_one_user_and_cannot_be_another(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("daemon").pw_uid)
        assert asked(site) == (None, [])
        assert asked(site, user="nobody") == (
            None,
            [("user", '"nobody", while this process runs as "daemon"', True)],
        )

    def test_user_without_a_name_is_told_by_number(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 3_999_999)
        assert asked(site, user="nobody")[1][0][1] == '"nobody", while this process runs as "3999999"'


def python(code: str, user: int | None = None) -> "subprocess.Popen[str]":
    """A child that imports the module under test."""
    lines = f"import os, sys\nfrom proxy.processes.privileges import *\n{code}"
    command = [sys.executable, "-c", lines]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=user)


@AS_SOMEBODY_ELSE
def test_private_memory_cannot_be_read_by_another_process_of_the_same_user() -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    victim = "{}\nprint(os.getpid(), flush=True)\nsys.stdin.read()"
    spy = "try:\n    open(f'/proc/{}/mem', 'rb').close()\n    print('read')\nexcept PermissionError:\n    print('refused')"
    seen = []
    for guard in ("", "keep_memory_private()"):
        with python(victim.format(guard), user=nobody) as private:
            assert private.stdout is not None
            pid = int(private.stdout.readline())
            with python(spy.format(pid), user=nobody) as curious:
                seen.append(curious.communicate()[0].strip())
            private.communicate()
    assert seen == ["read", "refused"]


def test_private_memory_makes_no_core_dump() -> None:
    with python("keep_memory_private()\nprint(resource.getrlimit(resource.RLIMIT_CORE))") as private:
        assert private.communicate()[0] == "(0, 0)\n"


def test_child_dies_with_its_parent_that_was_killed() -> None:
    """Though nothing else tells it: its standard input stays open here."""
    child = (
        "import os, signal\nfrom proxy.processes.privileges import die_with_parent\n"
        "die_with_parent()\nprint(os.getpid(), flush=True)\nsignal.pause()"
    )
    parent = f"import subprocess\nsubprocess.run([sys.executable, '-c', {child!r}])"
    with python(parent) as doomed:
        assert doomed.stdout is not None
        pid = int(doomed.stdout.readline())
        doomed.kill()
        doomed.wait()
        assert doomed.stdout.read() == ""  # ends when nobody has it open any more, the grandchild included
        while is_alive(pid):  # its files are closed a moment before it is dead
            os.sched_yield()


def test_child_that_is_let_go_outlives_it() -> None:
    child = (
        "import os, signal\nfrom proxy.processes.privileges import die_with_parent, outlive_parent\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})\ndie_with_parent()\noutlive_parent()\nprint(os.getpid(), flush=True)\nsignal.sigwait({signal.SIGUSR1})\nprint('alive')"
    )
    parent = f"import subprocess\nsubprocess.run([sys.executable, '-c', {child!r}])"
    with python(parent) as doomed:
        assert doomed.stdout is not None
        pid = int(doomed.stdout.readline())
        doomed.kill()
        doomed.wait()
        os.kill(pid, signal.SIGUSR1)
        assert doomed.stdout.read() == "alive\n"


def test_descriptor_limit_is_the_highest_that_is_allowed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
