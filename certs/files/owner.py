"""Files that root makes in the directory of another user, for that user.

An administrator runs commands as root beside a service that has a user of its own. What such a
command makes in the state directory of the service has to be the service's, or the service could
not open it later.
"""

import os
from pathlib import Path
from typing import Final

_ROOT: Final = 0


def give_to_owner(descriptor: int, directory: Path) -> None:
    """Give a file that this process has just made in `directory` to the owner of the directory, if
    this process is root; raises `OSError`.

    Only for a file that was opened with O_EXCL, or a directory that was opened with O_NOFOLLOW:
    that user could else name any file of root by a link.
    """
    if os.geteuid() != _ROOT:
        return
    owner = directory.stat()
    if owner.st_uid != _ROOT:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def open_lock_file(path: Path) -> int:
    """The descriptor of a lock file, which is made with mode 0600 if there is none.

    Raises `OSError`, also if the path is a symbolic link.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags | os.O_CREAT, 0o600)  # O_CREAT: it may have gone meanwhile
    give_to_owner(descriptor, path.parent)
    return descriptor
