"""Whether this process can sign with a key of a token, as it is loaded or after a new search."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from config.pkcs11_uri import Pkcs11Uri
from proxy.tls.key_store import LookupFailed
from proxy.tls.module_instances import ModuleInstances
from proxy.tls.probe import BadSignature, signing_seconds
from proxy.tls.token_key import LoadableKey, TokenKey


@dataclass(frozen=True, slots=True)
class KeyTrial:
    """`is_used` says whether this process serves by the key, `signs` whether it could."""

    is_used: bool
    signs: bool


def try_key(keys: Iterable[TokenKey], wanted: Pkcs11Uri, instances: ModuleInstances) -> KeyTrial:
    """Sign once with each of `keys` that is the wanted one; takes as long as the token does.

    `wanted` names token, serial, label and id. If the token is used for other keys, the key is
    searched anew as well, with the PIN of those.
    """
    of_token = [key for key in keys if _fits(key.key, wanted, in_token_only=True)]
    used = [key for key in of_token if _fits(key.key, wanted)]
    signs = any(_signs(key) for key in used if key.is_loaded) or any(
        _is_found(key.key, wanted, instances) for key in of_token[:1]
    )
    return KeyTrial(bool(used), signs)


def _fits(key: LoadableKey, wanted: Pkcs11Uri, *, in_token_only: bool = False) -> bool:
    uri = key.uri
    pairs = [(uri.token, wanted.token), (uri.serial, wanted.serial)]
    if not in_token_only:
        pairs += [(uri.object, wanted.object)]
    is_that_id = in_token_only or uri.id in (None, wanted.id)
    return is_that_id and all(ours in (None, theirs) for ours, theirs in pairs)


def _signs(key: TokenKey) -> bool:
    try:
        signing_seconds(key.loaded)
    except (OSError, BadSignature):
        return False
    return True


def _is_found(known: LoadableKey, wanted: Pkcs11Uri, instances: ModuleInstances) -> bool:
    uri = replace(known.uri, object=wanted.object, id=wanted.id)
    try:
        return instances.of(known.token).count_keys(uri.with_pin_source(str(known.pin.path))) > 0
    except LookupFailed:
        return False
