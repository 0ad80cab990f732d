"""What the commands need of a configuration is read, and what is missing is said."""

from pathlib import Path

import pytest

from certs.hsm.access import TokenChoice
from certs.tokens.used_keys import UsedKey
from proxy.commands.hsm.configured import HsmNotConfigured, read_configured

TEXT = """
[hsm]
module = "modules/m.so"
[hsm.token.plexi]
pin_file = "plexi.pin"
[hsm.token.two]
serial = "42"
pin_credential = "two-pin"
[identity.chat]
key = ["PKCS11:token=plexi;object=a%20b?pin-source=x", "pkcs11:serial=42;id=%01%ff"]
certificate = "chat.pem"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.toml"
    path.write_text(text)
    return path


def test_tokens_and_keys_are_found(tmp_path: Path) -> None:
    configured = read_configured(written(tmp_path, TEXT))
    assert configured.module == tmp_path / "modules/m.so"
    plexi, two = configured.tokens
    assert (plexi.choice, two.choice) == (TokenChoice(label="plexi"), TokenChoice(serial="42"))
    assert configured.keys == (
        UsedKey("identity.chat.key[0]", "plexi", None, "a b", None),
        UsedKey("identity.chat.key[1]", None, "42", None, b"\x01\xff"),
    )


def test_a_module_without_a_path_is_for_the_dynamic_linker(tmp_path: Path) -> None:
    assert read_configured(
        written(tmp_path, '[hsm]\nmodule = "p11-kit-proxy.so"\n[hsm.token.a]\npin_file = "a"')
    ).module == Path("p11-kit-proxy.so")


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "hsm: found nothing"), ("[hsm]", "hsm"), ("[", "no TOML"), ("[hsm]\nmodule='m'\ntoken.a=5", "hsm.token"),
     ("[hsm]\nmodule='m'\ntoken=5", "hsm.token")],
)  # fmt: skip
def test_what_is_missing_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(HsmNotConfigured, match=said):
        read_configured(written(tmp_path, text))


def test_a_key_in_a_table_that_is_refused_is_used_all_the_same(tmp_path: Path) -> None:
    configured = read_configured(written(tmp_path, TEXT + "unknown = 1\n[listener.x]\nbind = 7\n"))
    assert len(configured.keys) == 2


def test_pins_come_from_where_the_configuration_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("plexi.pin", "two-pin"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(f"{name}\n")
    path = written(tmp_path, TEXT)
    with pytest.raises(HsmNotConfigured, match="systemd passed no credentials"):
        read_configured(path).tokens[1].pin(read_configured(path).loaded)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    configured = read_configured(path)
    assert [one.pin(configured.loaded).reveal() for one in configured.tokens] == ["plexi.pin", "two-pin"]
