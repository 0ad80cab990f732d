"""Checks whether another user of this machine can use a module and its token: workers may run as
another user.

The files of a software token, the socket of a device's daemon and the library itself have owners. A
user without access to them finds no token, or other tokens. The check does not log in.
"""

import asyncio

from certs.hsm import calls
from certs.hsm.access import TokenAccess
from certs.hsm.async_client import AsyncTokenProcess
from certs.hsm.errors import HsmError
from certs.hsm.spawning import UserIds


async def fault_for(loop: asyncio.AbstractEventLoop, access: TokenAccess, user: UserIds | None) -> HsmError | None:
    """What keeps a user (None: this one) from a token, None if nothing does.

    Raises OSError when the system has no room for another process.
    """
    process = AsyncTokenProcess(loop, user)
    try:
        await process.perform(calls.load(access.module))
        await process.perform(calls.find(access.token))
    except HsmError as error:
        return error
    finally:
        process.kill()
    return None
