"""Private keys that are still sealed because the token of the sealing key was unavailable.

They are unsealed and serve once the token is back.
"""

import asyncio
from typing import Final

from certs.sealing.errors import SealingError
from config.values.problems import ConfigError
from proxy.net.in_thread import in_thread
from proxy.observe.events.event import Tell
from proxy.observe.events.secrets import NotUnsealed, Unsealed
from proxy.signing.breaker import BACK_OFF_SECONDS
from proxy.supervisor.editions.edition import StillShut
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.changeover import Renew
from proxy.supervisor.secrets.safe import Safe

# Between two checks for sealed keys when all keys are open: only a reload can bring new ones.
_IDLE_SECONDS: Final = 30.0


class Unsealing:
    """Runs for as long as the parent does."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, renew: Renew, safe: Safe, served: ServedEdition, tell: Tell
    ) -> None:
        self._loop = loop
        self._renew = renew
        self._safe = safe
        self._served = served
        self._tell = tell
        self._said = ""

    async def run(self) -> None:
        """Try to open the keys, with the back-off of tokens, until all are open.

        Then look now and then for new sealed keys.
        """
        tries = 0
        while True:
            if not self._served.edition.identities.shut:
                tries = 0
                await asyncio.sleep(_IDLE_SECONDS)
                continue
            tries = min(tries + 1, len(BACK_OFF_SECONDS) - 1)
            await asyncio.sleep(BACK_OFF_SECONDS[tries])
            await self.open()

    async def open(self) -> bool:
        """Try once to open the keys. Tells whether a further key serves."""
        shut = self._served.edition.identities.shut
        try:
            # wait for the token before `editing` is taken: a reload must not wait for it
            await in_thread(self._loop, lambda: self._safe.look(self._served.edition.loaded))
            await self._renew(lambda edition, number: edition.unsealed(number, self._safe), lambda _: None)
        except StillShut:
            return False
        except (ConfigError, SealingError) as error:
            self._say(str(error))
            return False
        self._tell(Unsealed(sorted(shut - self._served.edition.identities.shut)))
        return True

    def _say(self, detail: str) -> None:
        """Log the obstacle, unless it is the one that was logged last."""
        if detail != self._said:
            self._said = detail
            self._tell(NotUnsealed(detail))
