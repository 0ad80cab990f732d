"""Each error says what was found and what is allowed, and crosses the pipe unchanged."""

import pytest

from certs.hsm import errors
from certs.hsm.errors import HsmError, as_document, from_document
from certs.hsm.frames import HEADER, pack, unpack

EACH: list[tuple[HsmError, str]] = [
    (errors.ModuleUnusable("/m.so", "no such file"), "/m.so: found no such file; allowed:"),
    (
        errors.TokenMissing("label a", ["b (serial 1, slot 2)"]),
        "no token with label a; present tokens: b (serial 1",
    ),
    (errors.TokenMissing("label a", []), "none"),
    (errors.TokenAmbiguous("label a", ["x", "y"]), "2 tokens with label a: x, y"),
    (errors.TokenSilent("label a", [3, 5], 3.0), "no token with label a answers: slots 3, 5 did not within 3 s"),
    (errors.PinFileUnusable("/p", "mode 0644", "mode 0600"), 'PIN file "/p": found mode 0644; allowed: mode 0600'),
    (errors.PinRefused("a", "CKR_PIN_INCORRECT"), "refused (CKR_PIN_INCORRECT)"),
    (errors.PinLatched("a", "CKR_PIN_LOCKED", "2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z (CKR_PIN_LOCKED)"),
    (errors.PinFinalTry("a"), "CKF_USER_PIN_FINAL_TRY"),
    (errors.LatchUnusable("/l", "permission denied"), '"/l": found permission denied'),
    (errors.CallFailed("sign", "CKR_DEVICE_ERROR"), "failed to sign: CKR_DEVICE_ERROR"),
    (errors.CapabilityMissing("a", "mldsa-65 keys", "no CKM_ML_DSA", "others"), "has no mldsa-65 keys (no CKM_ML_DSA)"),
    (errors.KeyMissing("a", "label b"), "token a has no key with label b"),
    (errors.KeyAmbiguous("a", "label b", 2), "token a has 2 keys with label b"),
    (errors.KeyExists("a", "b"), "already has a key with the label or id of b"),
    (errors.KeyNotAsAsked("b", ["CKA_SIGN is false, requested true"]), "requested true; it was destroyed"),
    (errors.KeyNotAsAsked("b", ["x"], is_undone=False), "could NOT be destroyed"),
    (errors.KeyNotGone("a", "b"), "still has objects of key b"),
    (errors.DeadlinePassed("sign", 1.5), "did not sign within 1.5 s"),
    (errors.TokenProcessLost("sign", "killed by SIGSEGV"), "gone (killed by SIGSEGV)"),
]


@pytest.mark.parametrize(("error", "sentence"), EACH)
def test_each_error_says_what_is_wrong(error: HsmError, sentence: str) -> None:
    assert sentence in str(error)


@pytest.mark.parametrize(("error", "_sentence"), EACH)
def test_each_error_crosses_the_pipe(error: HsmError, _sentence: str) -> None:
    came = from_document(unpack(pack(as_document(error))[HEADER.size :]))
    assert type(came) is type(error)
    assert str(came) == str(error)


def test_every_kind_is_tried_here() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HsmError)}
    assert kinds - {HsmError} == {type(error) for error, _ in EACH}


def test_a_lost_session_needs_a_new_login() -> None:
    assert errors.CallFailed("sign", "CKR_SESSION_HANDLE_INVALID").needs_new_login
    assert not errors.CallFailed("sign", "CKR_DEVICE_ERROR").needs_new_login
