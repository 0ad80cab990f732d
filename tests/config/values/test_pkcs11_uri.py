"""RFC 7512: every URI names one key in one token, or is refused with the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.values.addresses import Refused
from config.values.pkcs11_uri import Pkcs11Uri, is_pkcs11_uri, parse


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("pkcs11:token=plexi;object=chat", Pkcs11Uri(token="plexi", object="chat")),
        ("pkcs11:object=chat;token=plexi", Pkcs11Uri(token="plexi", object="chat")),
        ("PKCS11:token=plexi;object=chat", Pkcs11Uri(token="plexi", object="chat")),
        ("pkcs11:token=plexi;object=chat;type=private", Pkcs11Uri(token="plexi", object="chat")),
        ("pkcs11:serial=0a1b;id=%01%fF", Pkcs11Uri(serial="0a1b", id=b"\x01\xff")),
        ("pkcs11:slot-id=7;id=ab", Pkcs11Uri(slot_id=7, id=b"ab")),
        ("pkcs11:token=My%20Token%3B;object=%C3%A4", Pkcs11Uri(token="My Token;", object="ä")),
        ("pkcs11:token=a=b&[c]@(d)'!$*+,:;object=x", Pkcs11Uri(token="a=b&[c]@(d)'!$*+,:", object="x")),
        (
            "pkcs11:token=t;serial=s;slot-id=18446744073709551615;manufacturer=m;model=o;object=x;id=%00",
            Pkcs11Uri("t", "s", 2**64 - 1, "m", "o", "x", b"\0"),
        ),
    ],
)
def test_usable_uris(text: str, uri: Pkcs11Uri) -> None:
    assert is_pkcs11_uri(text)
    assert parse(text) == uri
    assert parse(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("file:chat.key", None),
        ("", None),
        ("pkcs11:", "an empty attribute in the URI"),
        ("pkcs11:;token=a;object=b", "an empty attribute in the URI"),
        ("pkcs11:token=a;object=b;", "an empty attribute in the URI"),
        ("pkcs11:token=a", "no key in the URI"),
        ("pkcs11:object=a", "no token in the URI"),
        ("pkcs11:manufacturer=a;model=b;object=c", "no token in the URI"),
        ("pkcs11:token=a;type=private", "no key in the URI"),
        ("pkcs11:token=a;object=b;type=cert", None),
        ("pkcs11:token=a;object=b;type=public", None),
        ("pkcs11:token=a;token=a;object=b", "token= twice in the URI"),
        ("pkcs11:token=a;object=b;type=private;type=private", "type= twice in the URI"),
        ("pkcs11:token=a;object=b;colour=red", '"colour" in the URI'),
        ("pkcs11:token=a;object=b;x-vendor=1", '"x-vendor" in the URI'),
        ("pkcs11:token=a;object=b;library-version=3", '"library-version" in the URI'),
        ("pkcs11:token=a;object=b;Token=c", '"Token" in the URI'),
        ("pkcs11:token=a;object=b;\x1b[2J=c", "an empty attribute in the URI"),
        ("pkcs11:token;object=b", '"token" in the URI'),
        ("pkcs11:token=a;object=b;pin-value=sesam", '"pin-value" in the URI'),
        ("pkcs11:token=;object=b", "a token= of 0 octets"),
        ("pkcs11:token=" + "a" * 33 + ";object=b", "a token= of 33 octets"),
        ("pkcs11:serial=" + "a" * 17 + ";object=b", "a serial= of 17 octets"),
        ("pkcs11:token=a b;object=c", "a character in token= that must be encoded"),
        ("pkcs11:token=ä;object=c", "a character in token= that must be encoded"),
        ("pkcs11:token=a/b;object=c", "a character in token= that must be encoded"),
        ("pkcs11:token=a#b;object=c", "a character in token= that must be encoded"),
        ("pkcs11:token=%;object=c", "a character in token= that must be encoded"),
        ("pkcs11:token=%4;object=c", "a character in token= that must be encoded"),
        ("pkcs11:token=%4g;object=c", "a character in token= that must be encoded"),
        ("pkcs11:token=%ff;object=c", "a token= that is not UTF-8"),
        ("pkcs11:token=a%00;object=c", "a token= with white space or control characters"),
        ("pkcs11:token=a%0a;object=c", "a token= with white space or control characters"),
        ("pkcs11:token=a%20;object=c", "a token= with white space or control characters"),
        ("pkcs11:slot-id=0x7;object=c", "a slot-id= that is not a number"),
        ("pkcs11:slot-id=-1;object=c", "a slot-id= that is not a number"),
        ("pkcs11:slot-id=%d9%a3;object=c", "a slot-id= that is not a number"),
        ("pkcs11:token=a;object=b?", 'something behind a "?" in the URI'),
        ("pkcs11:token=a;object=b?x=y", 'something behind a "?" in the URI'),
        ("pkcs11:token=a;object=b?pin-value=sesam", "a PIN in the URI (not shown)"),
        ("pkcs11:token=a;object=b?pin-source=file:/pin", "a PIN in the URI (not shown)"),
        ("pkcs11:token=a;object=b?module-name=m&pin-value=sesam", "a PIN in the URI (not shown)"),
        ("pkcs11:token=a;object=b?module-path=/m.so", "a module in the URI"),
    ],
)
def test_refused_uris(text: str, found: str | None) -> None:
    with pytest.raises(Refused) as caught:
        parse(text)
    assert caught.value.found == found
    assert caught.value.allowed
    assert "sesam" not in f"{caught.value.found}{caught.value.allowed}"


def test_openssl_is_told_where_the_pin_is_and_never_the_pin() -> None:
    uri = Pkcs11Uri(token="My Token", id=b"\x01", object="a;b?c")
    assert (
        uri.with_pin_source("/proc/self/fd/7")
        == "pkcs11:token=My%20Token;object=a%3Bb%3Fc;id=%01;type=private?pin-source=file:/proc/self/fd/7"
    )
    assert uri.with_pin_source("/a b&c").endswith("?pin-source=file:/a%20b%26c")


def text(longest: int) -> st.SearchStrategy[str]:
    """Printable text without a space at its end, of at most so many octets."""
    graphic = st.characters(codec="utf-8", categories=("L", "N", "P", "S"))
    return st.text(graphic, min_size=1, max_size=longest // 4) | st.just("a b")


@given(
    st.builds(
        Pkcs11Uri,
        token=text(32),
        serial=st.none() | text(16),
        slot_id=st.none() | st.integers(0, 2**64 - 1),
        manufacturer=st.none() | text(32),
        model=st.none() | text(16),
        object=text(64),
        id=st.none() | st.binary(min_size=1, max_size=64),
    )
)
def test_what_is_written_is_read_as_the_same(uri: Pkcs11Uri) -> None:
    assert parse(str(uri)) == uri
    assert str(uri).isascii()


@given(st.text(alphabet="pkcs11:token=;object&?%0123456789abcdef- ä", max_size=60))
def test_anything_else_is_refused_and_nothing_worse(garbage: str) -> None:
    try:
        uri = parse(f"pkcs11:{garbage}")
    except Refused:
        return
    assert parse(str(uri)) == uri
