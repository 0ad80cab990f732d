"""A token that root sees is not there for everybody."""

import asyncio
import os
import pwd
from dataclasses import dataclass, replace

from certs.hsm.access import TokenChoice
from certs.hsm.errors import TokenMissing
from certs.hsm.other_user import fault_for
from certs.tokens.token_use import TokenUse
from tests.accounts import AS_SOMEBODY_ELSE
from tests.hsm.shim import TokenControl


@dataclass(frozen=True)
class Nobody:
    user: int = pwd.getpwnam("nobody").pw_uid
    group: int = pwd.getpwnam("nobody").pw_gid
    groups: tuple[int, ...] = ()


async def test_ours_is_there_and_nobody_logs_in(use: TokenUse, control: TokenControl) -> None:
    loop = asyncio.get_running_loop()
    assert await fault_for(loop, use.access, None) is None
    other = replace(use.access, token=TokenChoice("other"))
    assert isinstance(await fault_for(loop, other, None), TokenMissing)
    assert control.calls("C_Login") == 0


@AS_SOMEBODY_ELSE
async def test_it_is_not_there_for_who_may_not_read_it(use: TokenUse) -> None:
    """The directories of a test are its user's alone."""
    assert os.geteuid() == 0
    fault = await fault_for(asyncio.get_running_loop(), use.access, Nobody())
    assert fault is not None
    assert str(use.access.module) in str(fault)
