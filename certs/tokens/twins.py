"""Finds two tables of a configuration that mean the same token, such as one by its label and one by
its serial.

Only the module can tell. Such a token would replace itself when it fails, open twice the allowed
sessions, and get a wrong PIN twice. So this is checked before any login.
"""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import combinations

from certs.hsm.access import TokenChoice
from certs.hsm.clients import calls
from certs.hsm.clients.async_client import AsyncTokenProcess
from certs.hsm.errors import HsmError
from certs.hsm.facts import TokenFacts
from certs.tokens.token_use import TokenUse
from config.loading.loaded import ConfigFile
from config.values.problems import Problem


async def twin_problems(
    loop: asyncio.AbstractEventLoop, file: ConfigFile, uses: Sequence[TokenUse], seconds: float
) -> list[Problem]:
    """An error for each table that means the token of one before it.

    Where the module does not answer there is none: a login tells.
    """
    pairs = [pair for pair in combinations(uses, 2) if _may_be_one(pair[0].access.token, pair[1].access.token)]
    if not pairs:
        return []
    there = await _tokens(loop, uses[0], seconds)
    return [
        file.error(
            ("hsm", "token", second.name),
            f"a token that [hsm.token.{first.name}] already names: {token}",
            "each token once: another label, serial or slot",
        )
        for first, second in pairs
        for token in _common(there, first.access.token, second.access.token)
    ]


def _may_be_one(first: TokenChoice, second: TokenChoice) -> bool:
    """Whether no name tells them apart."""
    pairs = ((first.label, second.label), (first.serial, second.serial), (first.slot, second.slot))
    return all(one is None or other is None or one == other for one, other in pairs)


def _common(there: Sequence[TokenFacts], first: TokenChoice, second: TokenChoice) -> Iterator[TokenFacts]:
    """The token that is the only one of both. A choice of several is refused at its login."""
    found, others = ([one for one in there if choice.fits(one)] for choice in (first, second))
    if len(found) == 1 and found == others:
        yield from found


async def _tokens(loop: asyncio.AbstractEventLoop, use: TokenUse, seconds: float) -> list[TokenFacts]:
    try:
        process = AsyncTokenProcess(loop)
    except OSError:
        return []  # no room for a process, which those who log in will say
    try:
        async with asyncio.timeout(seconds):
            await process.perform(calls.load(use.access.module))
            return [one for one in await process.perform(calls.tokens()) if one.is_initialized]
    except (HsmError, TimeoutError):
        return []
    finally:
        process.kill()
