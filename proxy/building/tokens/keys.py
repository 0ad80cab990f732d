"""Whether keys in tokens can be used: one token fits, it has one such key, the certificate fits.

The checks are in this order, so that a PIN is never sent to a wrong token. A PIN that a token has
refused is not tried again, because this could lock the token. An answer holds until the whole
generation is built: several listeners may use the same key.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certs.hsm.errors import HsmError
from certs.hsm.key_kinds import KeyKind
from certs.keys.pkcs11 import Pkcs11Key
from certs.keys.signing_key import KeyFamily
from config.loading.reading import read_regular
from config.values.problems import printable
from proxy.building.token_fault import Unusable
from proxy.building.unusable_tokens import NONE_UNUSABLE, UnusableTokens
from proxy.tls.openssl.key_store import LookupFailed
from proxy.tls.tokens.mldsa_support import lack_of_provider, provider_file
from proxy.tls.tokens.module_instances import ModuleInstance, ModuleInstances
from proxy.tls.tokens.present_tokens import PresentToken, is_logged_in
from proxy.tls.tokens.token_key import TokenKey

# OpenSSL's reasons if the key belongs to another certificate, of the same or of another type.
_OTHER_KEY: Final = frozenset({"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED", "KEY_TYPE_MISMATCH"})


@dataclass(slots=True)
class TokenKeys:
    """The answers for one generation. `instances` are of the PKCS#11 module in this process."""

    instances: ModuleInstances
    unusable: UnusableTokens = NONE_UNUSABLE
    """Tokens that are not asked at all."""
    has_served: bool = False
    """Whether this process has built a generation before, so that keys may be younger than its
    module."""
    _verdicts: dict[tuple[str, Path], Unusable | None] = field(default_factory=dict)
    _sought: set[str] = field(default_factory=set)
    """Keys that were looked for by all instances."""
    _unusable: dict[str, Unusable] = field(default_factory=dict)
    """Why logins to a token have stopped, by token."""
    _tokens: dict[ModuleInstance, Sequence[PresentToken]] = field(default_factory=dict)

    def fault(self, key: Pkcs11Key, certificate: Path) -> Unusable | None:
        """Why a key cannot be used with this certificate, or None. May wait for the token."""
        fault = self._verdict(key, certificate)
        if fault is None or not fault.may_return or not self._is_seen_elsewhere(key):
            return fault
        del self._verdicts[key.openssl_uri, certificate]
        return self._verdict(key, certificate)

    def loss(self, key: Pkcs11Key, certificate: Path) -> Unusable | None:
        """Why a loaded key cannot be used with this certificate any more. None if it can.

        A token is asked only if it answers and if this process is logged in. Otherwise the answer
        is None too: this check tries no PIN.
        """
        try:
            if key.token in self.unusable or not self._is_open(key):
                return None
        except HsmError:
            return None
        fault = self._verdict(key, certificate)
        return None if fault is None or fault.may_pass else fault

    def _verdict(self, key: Pkcs11Key, certificate: Path) -> Unusable | None:
        if (fault := self.unusable.fault(key.token)) is not None:
            return fault
        asked = (key.openssl_uri, certificate)
        if asked not in self._verdicts:
            self._verdicts[asked] = self._examine(key, certificate)
        return self._verdicts[asked]

    def _is_open(self, key: Pkcs11Key) -> bool:
        fitting = [token for token in self._known_tokens(key) if token.fits(key.uri)]
        module = self.instances.of(key.token).module
        return bool(fitting) and all(is_logged_in(module, one.slot) for one in fitting if one.needs_login)

    def _known_tokens(self, key: Pkcs11Key) -> Sequence[PresentToken]:
        instance = self.instances.of(key.token)
        if instance not in self._tokens:
            self._tokens[instance] = instance.tokens()
        return self._tokens[instance]

    def _examine(self, key: Pkcs11Key, certificate: Path) -> Unusable | None:
        try:
            fault = self._unusable.get(key.token) or self._token_fault(key)
            if fault is None:
                fault = self._count_fault(key)
        except (HsmError, LookupFailed) as error:
            return Unusable(f"which cannot be looked up: {error}", "a token that answers", may_pass=True)
        return fault or self._fit_fault(key, certificate)

    def _token_fault(self, key: Pkcs11Key) -> Unusable | None:
        tokens = self._known_tokens(key)
        fitting = [token for token in tokens if token.fits(key.uri)]
        if not fitting:
            there = ", ".join(sorted(printable(f'"{token.label}"') for token in tokens)) or "none"
            return Unusable(
                "whose token is not there",
                f"a token that the module shows now (there are: {there}); a running proxy also finds a token that comes later",
                may_pass=True,
                is_expected=key.token in self.unusable.seen,  # the parent replaces this process
            )
        if len(fitting) > 1:
            slots = ", ".join(printable(f"{token.serial} in slot {token.slot}") for token in fitting)
            allowed = f"one token: tell them apart by serial or slot in [hsm.token.{key.token}] (there are: {slots})"
            return Unusable(f"which {len(fitting)} tokens fit", allowed)
        return self._locked(key) if fitting[0].is_locked else None

    def _count_fault(self, key: Pkcs11Key) -> Unusable | None:
        instance = self.instances.of(key.token)
        count = instance.count_keys(key.openssl_uri)
        if count > 1:
            return Unusable(
                "which several keys of the token fit", "one key: say its id= too (plexigate hsm list shows it)"
            )
        if count:
            return None
        # the flags are read again: the old ones are from before the login
        now = next((token for token in instance.tokens() if token.fits(key.uri)), None)
        if now is None:
            is_expected = key.token in self.unusable.seen
            return Unusable("whose token went away", "a token that stays", may_pass=True, is_expected=is_expected)
        if now.needs_login and not is_logged_in(instance.module, now.slot):
            return self._login_fault(key, now)
        if key.algorithm.family is KeyFamily.MLDSA and (lack := self._mldsa_lack(instance, now)) is not None:
            return Unusable(
                f"which cannot serve: {lack}",
                "an ECDSA or RSA key in the token, and a key file for ML-DSA beside it ([[identity.NAME.credential]])",
            )
        return Unusable(
            "which is not in the token, or not as a private key",
            "the label (object=) or id= of a private key in it",
            may_return=True,
        )

    def _mldsa_lack(self, instance: ModuleInstance, token: PresentToken) -> str | None:
        """Who has no ML-DSA: the token or OpenSSL's provider."""
        missing = next((one for one in KeyKind.MLDSA_65.needs if one.number not in instance.mechanisms(token)), None)
        if missing is not None:
            return f"token {printable(token.label)} has no ML-DSA ({missing.name} is not in its list of mechanisms)"
        return lack_of_provider(provider_file(self.instances.provider))

    def _is_seen_elsewhere(self, key: Pkcs11Key) -> bool:
        """Whether another instance of the module has the key, which is then used for its token."""
        if not self.has_served or key.openssl_uri in self._sought:
            return False
        self._sought.add(key.openssl_uri)
        for other in self.instances.others(key.token):
            with contextlib.suppress(LookupFailed, OSError):
                if other.count_keys(key.openssl_uri) == 1:
                    self.instances.use(key.token, other)
                    return True
        return False

    def _login_fault(self, key: Pkcs11Key, token: PresentToken) -> Unusable:
        if token.is_locked:
            return self._locked(key)
        if token.was_refused:
            allowed = f"the PIN of the token {key.token}; each wrong one brings it nearer to being locked"
            return self._close(key, "whose token refuses the PIN", allowed)
        # Some tokens do not say why a login failed. One try cannot lock the token.
        fault = Unusable(
            "whose token refuses every login",
            f"the PIN of the token {key.token}, and a token that answers",
            may_pass=True,
            is_expected=key.token in self.unusable.seen,  # it did just now: the parent replaces this process
        )
        self._unusable[key.token] = fault
        return fault

    def _locked(self, key: Pkcs11Key) -> Unusable:
        return self._close(
            key, "whose token is locked after wrong PINs", "a token whose PIN its security officer has set again"
        )

    def _close(self, key: Pkcs11Key, found: str, allowed: str) -> Unusable:
        self._unusable[key.token] = Unusable(found, allowed)
        return self._unusable[key.token]

    def _fit_fault(self, key: Pkcs11Key, certificate: Path) -> Unusable | None:
        try:
            self.instances.of(key.token).load(TokenKey(key, read_regular(certificate).content))
        except OSError as error:  # mostly of OpenSSL, with its `reason`
            if getattr(error, "reason", None) in _OTHER_KEY:
                return Unusable(
                    "which does not fit the certificate", f"the key that the certificate was made for ({key.algorithm})"
                )
            return Unusable(
                f"which OpenSSL cannot load: {error}", "a key of ECDSA P-256 or P-384, or RSA of 2048 bits or more"
            )
        return None
