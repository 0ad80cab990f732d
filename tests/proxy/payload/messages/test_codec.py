"""Tokens: those of the Fernet specification under any key of a ring, and none that differs in a single octet."""

import base64
import hmac
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet, MultiFernet
from hypothesis import given
from hypothesis import strategies as st

from proxy.payload.keys.keyring import Keyring
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.codec import FreshnessWindow, RingCodec, token_length
from tests.payloads import NOW, POLICY, WINDOW, codec, ring, rotated, secret

# github.com/fernet/spec: generate.json, verify.json, invalid.json
SECRET = base64.urlsafe_b64decode("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=")
TOKEN = b"gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="
MADE = 499_162_800
INVALID = {
    "incorrect mac": b"gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
    "too short": b"gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
    "no base64": b"%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
    "no whole block": b"gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
    "padding": b"gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
    "incorrect IV": b"gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
}
FAR_FUTURE = b"gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-iX9b_qXQcw=="
EXPIRED = b"gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q=="


def of_specification(rotations: int) -> RingCodec:
    """A ring whose first key is the specification's; with rotations it is the last one that is still valid."""
    return codec(rotated(Keyring.fresh("chat", SECRET, NOW), rotations))


def refusal(of: RingCodec, token: bytes, now: float = NOW, window: FreshnessWindow = WINDOW) -> Cause:
    with pytest.raises(PayloadFault) as caught:
        of.open(token, window, now)
    return caught.value.cause


@pytest.mark.parametrize("rotations", [0, POLICY.overlap])
class TestSpecification:
    def test_verify(self, rotations: int) -> None:
        opened = of_specification(rotations).open(TOKEN, WINDOW, MADE + 1)
        assert (opened.plain, opened.timestamp, opened.version) == (b"hello", MADE, 1)

    def test_generate(self, rotations: int) -> None:
        sealer = of_specification(rotations)
        token = sealer.seal(b"hello", MADE, 1)
        assert token[:12] == TOKEN[:12]
        assert Fernet(base64.urlsafe_b64encode(SECRET)).decrypt(token) == b"hello"

    @pytest.mark.parametrize("flaw", INVALID)
    def test_invalid(self, rotations: int, flaw: str) -> None:
        assert refusal(of_specification(rotations), INVALID[flaw], MADE + 1) is Cause.BAD_TOKEN

    def test_times(self, rotations: int) -> None:
        assert refusal(of_specification(rotations), FAR_FUTURE, MADE + 1) is Cause.FROM_THE_FUTURE
        assert refusal(of_specification(rotations), EXPIRED, MADE + 63) is Cause.EXPIRED


def test_it_reads_what_multifernet_makes_and_the_other_way_round() -> None:
    many = ring(2)
    theirs = MultiFernet([Fernet(base64.urlsafe_b64encode(key.secret)) for key in many.readable])
    ours = codec(many)
    assert ours.open(theirs.encrypt_at_time(b"x" * 1_000, int(NOW)), WINDOW, NOW) == (3, int(NOW), b"x" * 1_000)
    assert theirs.decrypt(ours.seal(b"y", NOW)) == b"y"


def test_which_key_matched_is_told_and_messages_are_counted() -> None:
    counted: list[tuple[str, int]] = []
    many = codec(ring(2), counted)
    for version in (1, 2, 3):
        token = many.seal(b"hello", NOW, version)
        assert many.open(token, WINDOW, NOW).version == version
        assert many.open(token, WINDOW, NOW, version).version == version
        assert many.open(token, WINDOW, NOW, 99).version == version
    many.seal(b"", NOW, 99)  # one that is not there any more
    assert counted == [("chat", 1), ("chat", 2), ("chat", 3), ("chat", 3)]
    assert many.knows(3)
    assert not many.knows(4)


def test_ended_keys_are_told_apart() -> None:
    old, older = codec(ring()).seal(b"hello", NOW), codec(ring(1)).seal(b"hello", NOW)
    many = ring(4).revoked(1, NOW)
    assert refusal(codec(many), old) is Cause.REVOKED_KEY
    assert refusal(codec(many), older) is Cause.RETIRED_KEY
    assert codec(many).ended_cause(1) is Cause.REVOKED_KEY
    assert codec(many).ended_cause(2) is Cause.RETIRED_KEY
    assert codec(many).ended_cause(9) is Cause.UNKNOWN_KEY
    kem = Keyring.fresh("x", secret(1), NOW)
    assert refusal(codec(kem), codec(ring(name="x")).seal(b"", NOW, 1).replace(b"g", b"h", 1)) is Cause.BAD_TOKEN


def test_key_that_is_only_remembered_by_name_matches_nothing() -> None:
    document = ring(4).as_json()
    document["keys"][-1]["secret"] = ""
    token = codec(ring()).seal(b"hello", NOW)
    assert refusal(codec(Keyring.from_json(document)), token) is Cause.BAD_TOKEN


def test_authentic_nonsense_of_another_key_is_refused_too() -> None:
    many = ring(1)
    signed = b"\x80" + int(NOW).to_bytes(8, "big") + bytes(16) + bytes(32)
    token = base64.urlsafe_b64encode(signed + hmac.digest(secret(1)[:16], signed, "sha256"))
    assert refusal(codec(many), token) is Cause.BAD_TOKEN


def test_time_bounds_are_inclusive() -> None:
    one = codec()
    token = one.seal(b"hello", NOW)
    assert one.open(token, WINDOW, NOW + 60).plain == b"hello"
    assert refusal(one, token, NOW + 61) is Cause.EXPIRED
    assert one.open(token, WINDOW, NOW - 30).plain == b"hello"
    assert refusal(one, token, NOW - 31) is Cause.FROM_THE_FUTURE


def test_length_is_known_in_advance() -> None:
    one = codec()
    for size in (0, 1, 15, 16, 17, 1_000, 65_536):
        assert len(one.seal(bytes(size), NOW)) == token_length(size)


@given(st.binary(max_size=200), st.data())
def test_no_octet_can_be_changed_to_any_other(plain: bytes, data: st.DataObject) -> None:
    one = codec(ring(2))
    token = bytearray(one.seal(plain, NOW))
    place = data.draw(st.integers(0, len(token) - 1))
    token[place] = data.draw(st.integers(0, 255).filter(lambda octet: octet != token[place]))
    with pytest.raises(PayloadFault):
        one.open(bytes(token), WINDOW, NOW)


@given(st.binary(max_size=40), st.data())
def test_nothing_can_be_put_in_or_left_out(plain: bytes, data: st.DataObject) -> None:
    one = codec()
    token = one.seal(plain, NOW)
    place = data.draw(st.integers(0, len(token)))
    changed = data.draw(
        st.one_of(
            st.binary(min_size=1, max_size=5).map(lambda more: token[:place] + more + token[place:]),
            st.integers(1, 5).map(lambda fewer: token[:place] + token[place + fewer :]),
        ).filter(lambda changed: changed != token)
    )
    with pytest.raises(PayloadFault):
        one.open(changed, WINDOW, NOW)


@pytest.mark.parametrize(
    "spell",
    [
        lambda token: token.replace(b"-", b"+", 1),
        lambda token: token.replace(b"_", b"/", 1),
        lambda token: token[:-3] + bytes([token[-3] + 1]) + token[-2:],  # bits that nobody reads
        lambda token: token[:8] + b"    " + token[8:],
        lambda token: token + b"====",
        lambda token: token[:-2] + b"A=",
        lambda token: token.rstrip(b"="),
        lambda token: b"=" * 4 + token,
        lambda token: token[:-4] + b"A===",
        lambda token: token[:9] + b"\xff" + token[10:],
    ],
)
def test_token_has_one_spelling(spell: Callable[[bytes], bytes]) -> None:
    one = codec()
    token = b""
    while not (b"-" in token and b"_" in token and token.endswith(b"==")):
        token = one.seal(bytes(14), NOW)
    with pytest.raises(PayloadFault) as caught:
        one.open(spell(token), WINDOW, NOW)
    assert caught.value.cause is Cause.BAD_TOKEN
    assert one.open(token, WINDOW, NOW).plain == bytes(14)


def test_content_is_not_in_what_is_shown_of_a_token() -> None:
    opened = codec().open(codec().seal(b"a plain secret", NOW), WINDOW, NOW)
    assert "secret" not in repr(opened)
    assert f"version={opened.version}" in repr(opened)
