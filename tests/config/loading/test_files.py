"""The files that a configuration names."""

from pathlib import Path

from pydantic import Field

import config
from config.loading.files import NamedFile, files_of
from config.loading.loaded import ConfigFile, LoadedConfig
from config.loading.loader import load
from config.schema import Config, CredentialConfig, IdentityConfig
from config.values.kinds import DirectoryPath, FilePath, Table, WrittenPath
from config.values.omissions import Omissions

PLACE = Path(config.__file__).parent
SITE = Path("/etc/plexigate")


def files(settings: Config) -> list[tuple[str, str]]:
    return [
        (file.key, str(file.path)) for file in files_of(LoadedConfig(settings, ConfigFile(SITE / "plexigate.toml")))
    ]


def test_example() -> None:
    found = [(file.key, file.path) for file in files_of(load(PLACE / "example.toml"))]
    assert [(key, path) for key, path in found if key.startswith("identity.")] == [
        ("identity.chat.certificate", PLACE / "chat.pem"),
        ("identity.chat.key", PLACE / "chat.key"),
        ("identity.files.credential[0].certificate", PLACE / "files-ecdsa.pem"),
        ("identity.files.credential[0].key", PLACE / "files-ecdsa.key"),
        ("identity.files.credential[1].certificate", PLACE / "files-mldsa65.pem"),
        ("identity.files.credential[1].key", PLACE / "files-mldsa65.key"),
    ]


def test_authorities_and_client_certificates_of_upstreams() -> None:
    chat = {"servers": ["https://chat.test"], "ca": "ca.pem", "certificate": "/run/client.pem", "key": "client.key"}
    assert files(Config.model_validate({"upstream": {"chat": chat}})) == [
        ("upstream.chat.ca", "/etc/plexigate/ca.pem"),
        ("upstream.chat.certificate", "/run/client.pem"),
        ("upstream.chat.key", "/etc/plexigate/client.key"),
    ]


def test_directories_are_marked_and_what_is_written_is_left_out() -> None:
    settings = Config.model_validate({"openssl": {"module_path": "modules"}, "log": {"file": "a.log"}})
    assert files_of(LoadedConfig(settings, ConfigFile(SITE / "plexigate.toml"))) == (
        NamedFile("openssl.module_path", SITE / "modules", is_directory=True),
    )


def test_answers_and_error_pages_of_routes() -> None:
    route = {"host": "a", "respond": {"file": "robots.txt"}, "error_pages": {"503": "busy.html"}}
    pages = {"502": "down.html", "5xx": ["error.html", "error.json"]}
    assert files(Config.model_validate({"route": [route], "error_pages": pages})) == [
        ("route[0].respond.file", "/etc/plexigate/robots.txt"),
        ("route[0].error_pages.503", "/etc/plexigate/busy.html"),
        ("error_pages.502", "/etc/plexigate/down.html"),
        ("error_pages.5xx[0]", "/etc/plexigate/error.html"),
        ("error_pages.5xx[1]", "/etc/plexigate/error.json"),
    ]


class Keyring(Table):
    """A table that nobody knew when `files_of` was written."""

    secret: FilePath
    older: tuple[FilePath, ...] = ()
    by_name: dict[str, FilePath | None] = Field(default_factory=dict)
    directory: DirectoryPath | None = None
    output: WrittenPath | None = None
    title: str = "no path"


class Grown(Config):
    """A schema that has it."""

    keyring: Keyring | None = None


def test_keys_that_are_added_to_the_schema_are_found() -> None:
    keyring = Keyring.model_validate(
        {"secret": "s", "older": ["a", "b"], "by_name": {"c": "d", "e": None}, "directory": "f", "output": "g"}
    )
    assert files(Grown(keyring=keyring)) == [
        ("keyring.secret", "/etc/plexigate/s"),
        ("keyring.older[0]", "/etc/plexigate/a"),
        ("keyring.older[1]", "/etc/plexigate/b"),
        ("keyring.by_name.c", "/etc/plexigate/d"),
        ("keyring.directory", "/etc/plexigate/f"),
    ]
    assert files(Grown()) == []


def test_keys_are_those_of_the_file_where_entries_were_left_out() -> None:
    credential = CredentialConfig(certificate="c.pem", key=("c.key",))
    settings = Config(identity={"chat": IdentityConfig(names=("chat.test",), credential=(credential,))})
    omissions = Omissions(frozenset({("identity", "chat", "credential", 0)}))
    found = files_of(LoadedConfig(settings, ConfigFile(SITE / "plexigate.toml", omissions=omissions)))
    assert [file.key for file in found] == [
        "identity.chat.credential[1].certificate",
        "identity.chat.credential[1].key",
    ]


HSM = {"module": "hsm.so", "token": {"a": {"pin_file": "a.pin"}, "b": {"pin_credential": "b-pin"}}}


def test_pins_are_read_and_libraries_are_not() -> None:
    settings = Config.model_validate({"hsm": HSM})
    assert files(settings) == [("hsm.token.a.pin_file", "/etc/plexigate/a.pin")]
    credentials = Path("/run/credentials/plexigate.service")
    found = files_of(LoadedConfig(settings, ConfigFile(SITE / "plexigate.toml", credentials=credentials)))
    assert [(file.key, file.path) for file in found] == [
        ("hsm.token.a.pin_file", SITE / "a.pin"),
        ("hsm.token.b.pin_credential", credentials / "b-pin"),
    ]


def test_keys_in_tokens_are_no_files() -> None:
    keys = ["pkcs11:token=a;object=x", "pkcs11:token=b;object=x"]
    chat = {"names": ["chat.test"], "certificate": "chat.pem", "key": keys}
    assert files(Config.model_validate({"identity": {"chat": chat}})) == [
        ("identity.chat.certificate", "/etc/plexigate/chat.pem")
    ]
