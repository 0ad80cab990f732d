"""Renews the keys below the sealing key, and what they have sealed.

Theory of operation. A key that is due gets a successor, and only opens from then on. What it has
sealed is sealed again by its successor. As long again later it is destroyed, if no file that is
known needs it. In that time a sealed file may come back that was not known: it was not named in the
configuration yet, or comes from a backup. A sealing key that was replaced opens nothing more when
its time is over. All of it is done again as long as something is left to do, so each step may fail
or be the last one of its process.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from certs.audit.entries import Action, Outcome, Told
from certs.hierarchy.document import Document
from certs.hierarchy.key import ManagedKey
from certs.hierarchy.resealing import NotOurs, reseal
from certs.hierarchy.sealed_files import SealedFile
from certs.hierarchy.vault import Vault
from certs.sealing.errors import SealingError
from certs.sealing.files import SealedFileUnusable


class Upkeep:
    """For one configuration, in any thread but an event loop's: it blocks."""

    def __init__(
        self, vault: Vault, after: timedelta, files: Callable[[], Sequence[SealedFile]], now: datetime, told: Told
    ) -> None:
        """Keys are due `after` that time. `files` gives all that may need one."""
        self._vault = vault
        self._after = after
        self._files = files
        self._now = now
        self._told = told
        self.done: list[str] = []
        """What was done, as sentences without a subject: "rotated tickets"."""
        self.errors: list[str] = []

    def renew(self) -> Document | None:
        """Rotate the keys that are due, and end the previous sealing key when its time is over.

        None where there are no keys yet. Raises `KeyUnavailable`.
        """
        document = self._vault.known()
        if document is None:
            return None
        due = document.hierarchy.due(self._now, self._after)
        if due:
            self._vault.rotate(sorted(due))
            self.done.append(f"rotated the keys for {', '.join(sorted(due))}")
        newest, *previous = document.sealing_keys
        if self._vault.is_by(newest) and any(one.until is not None and one.until <= self._now for one in previous):
            ended = self._vault.end_previous()
            self.done.append(f"ended the sealing key {', '.join(one.name for one in ended)}")
        return self._vault.known()

    def stale(self) -> list[SealedFile]:
        """The files that retired keys have sealed. Raises `KeyUnavailable`, and `OSError` if that
        cannot be known.
        """
        return [one for one, _ in self._sealed_by_retired()]

    def reseal(self, files: Sequence[SealedFile]) -> None:
        """Seal these by active keys. No other process may write them meanwhile. What cannot be done
        is in `errors`.
        """
        count = 0
        for one in files:
            try:
                if reseal(self._vault, one):
                    self._told(Action.SEAL, str(one.path), Outcome.DONE, "again, with the active key")
                    count += 1
            except FileNotFoundError:
                continue  # it went meanwhile
            except (NotOurs, SealedFileUnusable) as error:
                self.errors.append(str(error))
            except SealingError as error:
                self.errors.append(f"{one} {error.reason}")
            except OSError as error:
                self.errors.append(f'"{one.path}": {error.strerror}')
        if count:
            self.done.append(f"sealed {count} file{'' if count == 1 else 's'} again")

    def destroy(self) -> None:
        """Destroy the keys that are retired for long, and that no file needs. Raises as `stale`."""
        document = self._vault.known()
        old = [] if document is None else [key for key in document.hierarchy.retired if self._is_over(key)]
        if not old:
            return
        needed = {key.id for _, key in self._sealed_by_retired()}
        gone = [key.id for key in old if key.id not in needed]
        if gone:
            self._vault.destroy(gone)
            self.done.append(f"destroyed {', '.join(gone)}")

    def _is_over(self, key: ManagedKey) -> bool:
        return key.retired is not None and key.retired + self._after <= self._now

    def _sealed_by_retired(self) -> list[tuple[SealedFile, ManagedKey]]:
        names = self._vault.names_in_envelopes()
        pairs = [(one, names.get(one.key_id)) for one in self._files()]
        return [(one, key) for one, key in pairs if key is not None and not key.protects]
