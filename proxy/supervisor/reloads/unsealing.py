"""Private keys that rest sealed and did not open, as the token of the sealing key was away: they serve once it is back."""

import asyncio
from typing import Final

from certs.sealing.errors import SealingError
from config.problems import ConfigError
from proxy.net.in_thread import in_thread
from proxy.signing.breaker import BACK_OFF_SECONDS
from proxy.supervisor.editions.edition import StillShut
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.renewal import Renewal
from proxy.supervisor.reporting import Tell
from proxy.supervisor.secrets.safe import Safe

# Between two looks whether anything is shut: a reload alone could bring that about later.
_IDLE_SECONDS: Final = 30.0


class Unsealing:
    """Runs for as long as the parent does."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, renew: Renewal, safe: Safe, served: ServedEdition, tell: Tell
    ) -> None:
        """Nothing is opened before `run` or `open`."""
        self._loop = loop
        self._renew = renew
        self._safe = safe
        self._served = served
        self._tell = tell
        self._said = ""

    async def run(self) -> None:
        """Try again and again, with the back-off of tokens, as long as something is shut."""
        tries = 0
        while True:
            if not self._served.edition.shut:
                tries = 0
                await asyncio.sleep(_IDLE_SECONDS)
                continue
            tries = min(tries + 1, len(BACK_OFF_SECONDS) - 1)
            await asyncio.sleep(BACK_OFF_SECONDS[tries])
            await self.open()

    async def open(self) -> bool:
        """Try it once; answers whether something serves by that."""
        shut = self._served.edition.shut
        try:
            # the token is waited for here, where nobody waits for us
            await in_thread(self._loop, lambda: self._safe.look(self._served.edition.loaded))
            await self._renew(lambda edition, number: edition.unsealed(number, self._safe), lambda _: None)
        except StillShut:
            return False
        except (ConfigError, SealingError) as error:
            self._say(str(error))
            return False
        names = sorted(shut - self._served.edition.shut)
        event = {"event": "unsealed", "identities": names}
        self._tell(event, f"the sealing key is there: {', '.join(names)} serve by what it has opened")
        return True

    def _say(self, detail: str) -> None:
        """Log what is in the way, once."""
        if detail != self._said:
            self._said = detail
            names = ", ".join(sorted(self._served.edition.shut))
            line = f"keys of {names} rest sealed, which is tried again and again: {detail}"
            self._tell({"event": "not_unsealed", "detail": detail}, line)
