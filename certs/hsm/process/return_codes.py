"""The names of PKCS#11 return values (OASIS PKCS#11 3.1, pkcs11t.h): what an operator finds in the
vendor's manual.
"""

import re
from typing import Final

_NAMES: Final = {
    0x000: "CKR_OK",
    0x001: "CKR_CANCEL",
    0x002: "CKR_HOST_MEMORY",
    0x003: "CKR_SLOT_ID_INVALID",
    0x005: "CKR_GENERAL_ERROR",
    0x006: "CKR_FUNCTION_FAILED",
    0x007: "CKR_ARGUMENTS_BAD",
    0x00A: "CKR_CANT_LOCK",
    0x030: "CKR_DEVICE_ERROR",
    0x031: "CKR_DEVICE_MEMORY",
    0x032: "CKR_DEVICE_REMOVED",
    0x050: "CKR_FUNCTION_CANCELED",
    0x054: "CKR_FUNCTION_NOT_SUPPORTED",
    0x0A0: "CKR_PIN_INCORRECT",
    0x0A1: "CKR_PIN_INVALID",
    0x0A2: "CKR_PIN_LEN_RANGE",
    0x0A3: "CKR_PIN_EXPIRED",
    0x0A4: "CKR_PIN_LOCKED",
    0x0B1: "CKR_SESSION_COUNT",
    0x0B6: "CKR_SESSION_EXISTS",
    0x0E0: "CKR_TOKEN_NOT_PRESENT",
    0x0E1: "CKR_TOKEN_NOT_RECOGNIZED",
    0x0E2: "CKR_TOKEN_WRITE_PROTECTED",
    0x140: "CKR_CURVE_NOT_SUPPORTED",
    0x190: "CKR_CRYPTOKI_NOT_INITIALIZED",
    0x191: "CKR_CRYPTOKI_ALREADY_INITIALIZED",
}
"""Those of the few functions that are called directly; python-pkcs11 turns the others into
classes.
"""

# Classes of python-pkcs11 whose names are not those of the standard in another case.
_RENAMED: Final = {
    "AnotherUserAlreadyLoggedIn": "CKR_USER_ANOTHER_ALREADY_LOGGED_IN",
    "DomainParamsInvalid": "CKR_DOMAIN_PARAMS_INVALID",
    "FunctionCancelled": "CKR_FUNCTION_CANCELED",
    "KeyUnextractable": "CKR_KEY_UNEXTRACTABLE",
    "RandomNoRNG": "CKR_RANDOM_NO_RNG",
    "SessionReadWriteSOExists": "CKR_SESSION_READ_WRITE_SO_EXISTS",
    "SlotIDInvalid": "CKR_SLOT_ID_INVALID",
    "TokenNotRecognised": "CKR_TOKEN_NOT_RECOGNIZED",
    "UserAlreadyLoggedIn": "CKR_USER_ALREADY_LOGGED_IN",
}
_WORD_STARTS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_UNMAPPED: Final = re.compile(r"0x[0-9a-fA-F]+")


def name_of_code(code: int) -> str:
    """`CKR_...` for a return value, or its number as the header writes it."""
    return _NAMES.get(code, f"CKR 0x{code:08X}")


def name_of_error(class_name: str, text: str) -> str:
    """`CKR_...` for an exception of python-pkcs11: the name of its class, and its text, which has
    the number of a code it lacks.
    """
    if class_name in _RENAMED:
        return _RENAMED[class_name]
    if class_name == "PKCS11Error":
        number = _UNMAPPED.search(text)
        return name_of_code(int(number[0], 16)) if number else "CKR_GENERAL_ERROR"
    return "CKR_" + _WORD_STARTS.sub("_", class_name).upper()
