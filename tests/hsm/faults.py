"""The ways in which tokens die."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from tests.hsm.shim import CKR_DEVICE_ERROR, TokenControl

SIGNATURES: Final = ("C_Sign", "C_SignUpdate", "C_SignFinal")
EVERYTHING: Final = (
    "C_GetTokenInfo",
    "C_OpenSession",
    "C_GetSessionInfo",
    "C_Login",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_SignInit",
    *SIGNATURES,
)

Fault = Callable[[TokenControl], AbstractContextManager[None]]
"""Lasts until the block ends."""


@contextmanager
def errors(token: TokenControl) -> Iterator[None]:
    """It answers, and nothing works."""
    with token.failing(CKR_DEVICE_ERROR, *EVERYTHING):
        yield


@contextmanager
def hang(token: TokenControl) -> Iterator[None]:
    """Signatures do not come back."""
    with token.hanging(*SIGNATURES):
        yield


@contextmanager
def slowness(token: TokenControl) -> Iterator[None]:
    """Signatures come, and too late to be of use."""
    token.delay(1_500, "C_Sign", "C_SignFinal")
    try:
        yield
    finally:
        token.delay(0, "C_Sign", "C_SignFinal")


@contextmanager
def lost_sessions(token: TokenControl) -> Iterator[None]:
    """All sessions have ended, once; the token itself is well."""
    token.lose_sessions()
    yield


FAULTS: Final = (errors, hang, slowness, lost_sessions)
