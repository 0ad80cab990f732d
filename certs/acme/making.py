"""Makes issuers from the tables `[issuer.NAME]` of type "acme"."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from certs.acme.challenges.dns_hook import DnsHook
from certs.acme.challenges.proofs import Showing
from certs.acme.client.accounts import AccountStore
from certs.acme.client.session import Binding
from certs.acme.client.sign_in import Membership
from certs.acme.fallback import FallbackIssuer
from certs.acme.issuer import AcmeIssuer, AcmeSettings, Surroundings
from certs.acme.timeouts import AcmeTimeouts
from certs.issuing.issuer import Issuer
from config.loading.loaded import ConfigFile
from config.loading.reading import read_regular
from config.tables.issuers import AcmeIssuerConfig, AnyIssuerConfig

# Far above any key; keeps a device that was named by mistake out of memory.
_LARGEST_FILE: Final = 1_048_576  # bytes
# A validation and an issuance, and a part for everything else: signing in, hooks, waiting for one's
# turn.
_PARTS_OF_AN_ATTEMPT: Final = 3


def acme_issuers(
    file: ConfigFile,
    issuers: Mapping[str, AnyIssuerConfig],
    issue_seconds: float,
    store: AccountStore,
    showing: Showing,
) -> Mapping[str, Issuer]:
    """Make the issuers of type "acme", by NAME. Sends no request yet.

    `issue_seconds` is the time for one attempt, all of its CAs together.
    """
    return dict(_AcmeIssuers(file, issuers, store, showing).made(issue_seconds))


class _AcmeIssuers:
    def __init__(
        self, file: ConfigFile, issuers: Mapping[str, AnyIssuerConfig], store: AccountStore, showing: Showing
    ) -> None:
        self._file = file
        self._store = store
        self._showing = showing
        self._configured = {name: one for name, one in issuers.items() if isinstance(one, AcmeIssuerConfig)}

    def made(self, seconds: float) -> Iterator[tuple[str, Issuer]]:
        # one object for each CA, also as a fallback of others: it remembers requested waits
        longest = 1 + max((len(one.fallback) for one in self._configured.values()), default=0)
        patience = _patience(seconds / longest)
        single = {name: self._single(name, one, patience) for name, one in self._configured.items()}
        for name, settings in self._configured.items():
            others = [single[other] for other in settings.fallback if other in single]
            yield name, FallbackIssuer([single[name], *others]) if others else single[name]

    def _single(self, name: str, settings: AcmeIssuerConfig, patience: AcmeTimeouts) -> AcmeIssuer:
        membership = Membership(settings.directory, settings.contact, lambda: self._binding(settings))
        solver = DnsHook(settings.hook, settings.hook_seconds) if settings.hook else self._showing.solver
        acme = AcmeSettings(
            membership,
            settings.challenge,
            settings.profile,
            self._path(settings.ca_file),
            self._path(settings.root_file),
        )
        around = Surroundings(self._store, solver, self._showing.tell, self._showing.silences, patience=patience)
        return AcmeIssuer(name, acme, around)

    def _binding(self, settings: AcmeIssuerConfig) -> Binding | None:
        """Read the key at each registration, so that it is the current one. Raises `OSError`."""
        path = self._path(settings.eab_key_file)
        if path is None or settings.eab_kid is None:
            return None
        key = read_regular(path, _LARGEST_FILE).content
        return Binding(settings.eab_kid, key.decode("ascii", "replace").strip())

    def _path(self, file: str | None) -> Path | None:
        return None if file is None else self._file.resolve(file)


def _patience(seconds: float) -> AcmeTimeouts:
    """Share the time of one attempt among its parts."""
    part = seconds / _PARTS_OF_AN_ATTEMPT
    usual = AcmeTimeouts()
    return AcmeTimeouts(
        call=min(usual.call, part), validation=min(usual.validation, part), issuance=min(usual.issuance, part)
    )
