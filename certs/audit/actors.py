"""Actors: the names in the audit log for those who use a key."""

import os
import pwd
from pathlib import Path
from typing import Final

_LOGIN_UID: Final = Path("/proc/self/loginuid")
_UNSET: Final = str(2**32 - 1)  # no login: a service


def command_line_actor(login_uid: Path = _LOGIN_UID) -> str:
    """The user of a command, and the user who logged in for it where that is another one: `sudo`
    does not change that (audit(7)).
    """
    own = os.getuid()
    try:
        login = login_uid.read_text(encoding="ascii").strip()
    except OSError:
        login = _UNSET
    if login in ("", _UNSET, str(own)):
        return f"cli {_named(own)}"
    return f"cli {_named(own)} for {_named(int(login))}"


def _named(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
