"""The keys of a token that was logged in to: listed, made, imported, destroyed.

Only in the process of `token_process`.
"""

from collections.abc import Iterable
from typing import Any, Final, cast

import pkcs11
from pkcs11.constants import DEFAULT, Attribute, ObjectClass
from pkcs11.mechanisms import KeyType, Mechanism

from certs.hsm.errors import CapabilityMissing, KeyAmbiguous, KeyExists, KeyMissing, KeyNotAsAsked, KeyNotGone
from certs.hsm.facts import KeyAddress, KeyClass, KeyFacts, TokenFacts
from certs.hsm.key_kinds import KeyKind, missing_of
from certs.hsm.key_names import TokenKeyName
from certs.hsm.process.key_templates import (
    EC_PARAMETERS,
    MLDSA_SETS,
    OPENING_EC_KEY,
    OPENING_RSA_KEY,
    PRIVATE_KEY,
    PUBLIC_KEY,
    RSA_BITS,
    SECRET_KEY,
    Attributes,
    differences,
    expected_of_private,
    expected_of_public,
    expected_of_secret,
)
from certs.hsm.process.return_codes import name_of_error

_CLASSES: Final = {
    KeyClass.PRIVATE: ObjectClass.PRIVATE_KEY,
    KeyClass.SECRET: ObjectClass.SECRET_KEY,
    KeyClass.PUBLIC: ObjectClass.PUBLIC_KEY,
}
_OWNED: Final = (KeyClass.PRIVATE, KeyClass.SECRET)
_PRIVATE_USES: Final = ("SIGN", "SIGN_RECOVER", "DECRYPT", "UNWRAP", "DERIVE")
# A secret key has these too. The module of a TPM tells them also of a private key, which has none
# of them in the standard.
_USES: Final = (*_PRIVATE_USES, "ENCRYPT", "WRAP", "VERIFY")
_STATES: Final = ("SENSITIVE", "EXTRACTABLE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL")
_CURVE_REFUSED: Final = ("CKR_CURVE_NOT_SUPPORTED", "CKR_DOMAIN_PARAMS_INVALID")
_PUBLIC_EXPONENT: Final = b"\x01\x00\x01"  # 65537


class TokenKeyStore:
    """The keys of one token.

    Every method raises an error of python-pkcs11 where the token fails.
    """

    def __init__(self, token: TokenFacts, session: pkcs11.Session) -> None:
        """For a session that was logged in, readable and writable."""
        self._token = token
        self._session = session

    # -- looking

    def listed(self) -> list[KeyFacts]:
        """All private and secret keys, by label."""
        found = [_facts(key, key_class) for key_class in _OWNED for key in self._search({}, key_class)]
        return sorted(found, key=lambda one: (one.label, one.id))

    def one(self, address: KeyAddress) -> tuple[Any, KeyClass]:
        """The only private or secret key there. Raises KeyMissing or KeyAmbiguous."""
        found = [(key, key_class) for key_class in _OWNED for key in self._search(_template(address), key_class)]
        if not found:
            raise KeyMissing(self._token.label, str(address))
        if len(found) > 1:
            raise KeyAmbiguous(self._token.label, str(address), len(found))
        return found[0]

    def described(self, address: KeyAddress) -> KeyFacts:
        return _facts(*self.one(address))

    def public_parts(self, address: KeyAddress) -> Attributes:
        """The attributes that make up the public half of a private key, from the object beside it
        where the key has them not.
        """
        key, _ = self.one(address)
        mine = read(key, ("ID", "LABEL"))
        beside = self._search({Attribute.ID: mine["ID"], Attribute.LABEL: mine["LABEL"]}, KeyClass.PUBLIC)
        parts: Attributes = {}
        for one in (key, *beside):
            names = ("KEY_TYPE", "EC_PARAMS", "EC_POINT", "MODULUS", "PUBLIC_EXPONENT", "PARAMETER_SET")
            # CKA_VALUE of an ML-DSA *public* key is the key itself; a private key is never asked
            # for its own
            parts = read(one, names if one is key else (*names, "VALUE")) | parts
        return parts

    # -- making

    def generate(self, name: TokenKeyName) -> KeyFacts:
        """Make a key in the token.

        Raises CapabilityMissing, KeyExists, KeyNotAsAsked (which says whether it is gone again).
        """
        self._require(name.kind)
        self._refuse_taken(name)
        if name.kind.is_secret:
            made = [self._session.generate_key(KeyType.AES, 256, store=True, template=_pkcs11(SECRET_KEY, name))]
            return self._verified(name, made, [expected_of_secret(name.label, name.id, is_imported=False)])
        return self._made_pair(name, PRIVATE_KEY)

    def generate_opening(self, name: TokenKeyName) -> KeyFacts:
        """Make a key pair (`opening_kind`) whose private half opens what was sealed with the public
        one, and does nothing else. Raises KeyExists, KeyNotAsAsked.
        """
        self._refuse_taken(name)
        return self._made_pair(name, OPENING_RSA_KEY if name.kind in RSA_BITS else OPENING_EC_KEY)

    def import_secret(self, name: TokenKeyName, value: bytes) -> KeyFacts:
        """Put an AES-256 key in that was born outside.

        Raises KeyExists, KeyNotAsAsked; ValueError for another length.
        """
        if len(value) != 32 or not name.kind.is_secret:
            raise ValueError("an AES-256 key has 32 bytes")
        self._require(name.kind)
        self._refuse_taken(name)
        template = {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.AES,
            Attribute.VALUE: value,
            **_pkcs11(SECRET_KEY, name),
        }
        made = [self._session.create_object(template)]
        return self._verified(name, made, [expected_of_secret(name.label, name.id, is_imported=True)])

    def destroy(self, address: KeyAddress) -> KeyFacts:
        """Destroy a key and the public key beside it, and look whether they are gone.

        Raises KeyNotGone.
        """
        key, key_class = self.one(address)
        facts = _facts(key, key_class)
        exact = KeyAddress(facts.label, facts.id)
        key.destroy()
        for beside in self._search(_template(exact), KeyClass.PUBLIC):
            beside.destroy()
        if any(self._search(_template(exact), one) for one in KeyClass):
            raise KeyNotGone(self._token.label, facts.label)
        return facts

    # -- steps

    def _search(self, template: dict[Attribute, Any], key_class: KeyClass) -> list[Any]:
        return list(self._session.get_objects({**template, Attribute.CLASS: _CLASSES[key_class]}))

    def _refuse_taken(self, name: TokenKeyName) -> None:
        for template in ({Attribute.LABEL: name.label}, {Attribute.ID: name.id}):
            if any(self._search(template, one) for one in KeyClass):
                raise KeyExists(self._token.label, name.label)

    def _require(self, kind: KeyKind) -> None:
        missing = missing_of(kind, frozenset(self._token.mechanisms))
        if missing is not None:
            raise self._lacking(kind, f"{missing.name} is not in its list of mechanisms")

    def _lacking(self, kind: KeyKind, lack: str) -> CapabilityMissing:
        return CapabilityMissing(self._token.label, f"{kind} keys", lack, _instead(kind))

    def _made_pair(self, name: TokenKeyName, asked: Attributes) -> KeyFacts:
        public, private = self._generate_pair(name, asked)
        expected = [expected_of_private(name.label, name.id, asked), expected_of_public(name.label, name.id)]
        return self._verified(name, [private, public], expected)

    def _generate_pair(self, name: TokenKeyName, asked: Attributes) -> tuple[Any, Any]:
        try:
            return self._pair(name, asked)
        except pkcs11.exceptions.PKCS11Error as error:
            lack = self._lack_of(name.kind, name_of_error(type(error).__name__, str(error)))
            if lack is None:
                raise
            raise self._lacking(name.kind, lack) from None

    def _lack_of(self, kind: KeyKind, ckr: str) -> str | None:
        """What the token lacks for a key that it did not make, if it says so."""
        if kind in EC_PARAMETERS:
            return f"its CKM_EC_KEY_PAIR_GEN answers {ckr}" if ckr in _CURVE_REFUSED else None
        if kind not in RSA_BITS:
            return None
        # which return value that is differs between tokens
        longest = self._session.token.slot.get_mechanism_info(Mechanism.RSA_PKCS_KEY_PAIR_GEN).max_key_length
        if longest is None or longest >= RSA_BITS[kind]:
            return None
        return f"its CKM_RSA_PKCS_KEY_PAIR_GEN makes at most {longest} bits"

    def _pair(self, name: TokenKeyName, asked: Attributes) -> tuple[Any, Any]:
        public = {**_pkcs11(PUBLIC_KEY, name), Attribute.VERIFY: DEFAULT, Attribute.ENCRYPT: DEFAULT}
        # what is not asked for is left to the token
        private = {Attribute.DECRYPT: DEFAULT, **_pkcs11(asked, name)}
        if name.kind in EC_PARAMETERS:
            curve = {Attribute.EC_PARAMS: EC_PARAMETERS[name.kind]}
            parameters = self._session.create_domain_parameters(KeyType.EC, curve, local=True)
            return parameters.generate_keypair(store=True, public_template=public, private_template=private)
        if name.kind in RSA_BITS:
            public[Attribute.PUBLIC_EXPONENT] = _PUBLIC_EXPONENT
            return self._session.generate_keypair(
                KeyType.RSA, RSA_BITS[name.kind], store=True, public_template=public, private_template=private
            )
        public[Attribute.PARAMETER_SET] = MLDSA_SETS[name.kind]
        return self._session.generate_keypair(
            KeyType.ML_DSA, store=True, public_template=public, private_template=private
        )

    def _verified(self, name: TokenKeyName, made: list[Any], expected: list[Attributes]) -> KeyFacts:
        """What was made, when it is as asked for; else it is destroyed again."""
        wrong = [
            sentence
            for key, wanted in zip(made, expected, strict=True)
            for sentence in differences(wanted, read(key, wanted))
        ]
        if wrong:
            raise KeyNotAsAsked(name.label, wrong, is_undone=self._undone(name, made))
        # two programs that have looked at the same time have both found the name free: nothing
        # could tell these keys apart
        if sum(len(self._search(_template(KeyAddress.of(name)), one)) for one in _OWNED) > 1:
            self._undone(name, made)
            raise KeyExists(self._token.label, name.label)
        return self.described(KeyAddress.of(name))

    def _undone(self, name: TokenKeyName, made: list[Any]) -> bool:
        """Destroy what was just made; whether nothing of it is left."""
        for key in made:
            try:
                key.destroy()
            except pkcs11.exceptions.PKCS11Error:
                continue  # the look afterwards tells
        return not any(self._search(_template(KeyAddress.of(name)), one) for one in KeyClass)


def read(key: Any, names: Iterable[str]) -> Attributes:
    """Those of the attributes that the token tells.

    At once, and one by one where a token answers nothing if it lacks one of them.
    """
    wanted = {Attribute[name]: name for name in names}
    try:
        found = key.get_attributes(list(wanted))
    except pkcs11.exceptions.PKCS11Error:
        found = {}
        for attribute in wanted:
            try:
                found[attribute] = key[attribute]
            except pkcs11.exceptions.PKCS11Error:
                continue
    told = {wanted[attribute]: value for attribute, value in found.items() if attribute in wanted}
    return cast("Attributes", told)


def _facts(key: Any, key_class: KeyClass) -> KeyFacts:
    uses = _PRIVATE_USES if key_class is KeyClass.PRIVATE else _USES
    found = read(
        key, ("LABEL", "ID", "KEY_TYPE", "EC_PARAMS", "MODULUS", "PARAMETER_SET", "VALUE_LEN", *_STATES, *uses)
    )
    kind, size = _kind(found)
    return KeyFacts(
        label=found.get("LABEL", ""),
        id=found.get("ID", b""),
        key_class=key_class,
        kind=kind,
        size=size,
        is_sensitive=found.get("SENSITIVE"),
        is_extractable=found.get("EXTRACTABLE"),
        was_always_sensitive=found.get("ALWAYS_SENSITIVE"),
        was_never_extractable=found.get("NEVER_EXTRACTABLE"),
        is_local=found.get("LOCAL"),
        uses=tuple(name.lower() for name in uses if found.get(name)),
    )


def _kind(found: Attributes) -> tuple[str, int | None]:
    """What a key is, and its size in bits (the parameter set of ML-DSA)."""
    match found.get("KEY_TYPE"):
        case KeyType.EC:
            named = {parameters: kind for kind, parameters in EC_PARAMETERS.items()}
            kind = named.get(found.get("EC_PARAMS", b""))
            return (kind.value, int(kind.value[-3:])) if kind is not None else ("ecdsa", None)
        case KeyType.RSA:
            bits = int.from_bytes(found.get("MODULUS", b"")).bit_length()
            return f"rsa-{bits}", bits
        case KeyType.ML_DSA:
            sets = {number: kind for kind, number in MLDSA_SETS.items()}
            kind = sets.get(found.get("PARAMETER_SET", 0))
            return (kind.value, int(kind.value[-2:])) if kind is not None else ("mldsa", None)
        case KeyType.AES:
            bits = 8 * found.get("VALUE_LEN", 0)
            return f"aes-{bits}", bits
        case number:
            return (f"type 0x{number:x}" if isinstance(number, int) else "unknown"), None


def _template(address: KeyAddress) -> dict[Attribute, Any]:
    parts = {Attribute.LABEL: address.label, Attribute.ID: address.id}
    return {attribute: value for attribute, value in parts.items() if value is not None}


def _pkcs11(attributes: Attributes, name: TokenKeyName) -> dict[Attribute, Any]:
    return {
        **{Attribute[key]: value for key, value in attributes.items()},
        Attribute.LABEL: name.label,
        Attribute.ID: name.id,
    }


def _instead(kind: KeyKind) -> str:
    if kind.is_mldsa:
        return "an ECDSA or RSA key here, and ML-DSA from a key file beside it"
    if kind.is_secret:
        return "a key pair that seals (plexigate hsm init --no-recovery), or a key file (--key-file)"
    return "a kind of key whose mechanisms `plexigate hsm list` shows"
