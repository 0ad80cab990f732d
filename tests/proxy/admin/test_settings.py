"""Where the admin socket is."""

import os
import tempfile
from pathlib import Path

import pytest

from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from config.tables.operations.admin import AdminConfig
from proxy.admin.settings import AdminSettings, default_socket, sockets_to_try


@pytest.mark.parametrize(
    ("environment", "user", "expected"),
    [
        ({"RUNTIME_DIRECTORY": "/run/plexigate"}, 999, "/run/plexigate/admin.sock"),
        ({"RUNTIME_DIRECTORY": "/run/edge"}, 0, "/run/edge/plexigate/admin.sock"),
        ({"RUNTIME_DIRECTORY": "/run/plexigate:/run/more"}, 999, "/run/plexigate/admin.sock"),
        ({"RUNTIME_DIRECTORY": ""}, 0, "/run/plexigate/admin.sock"),
        ({"XDG_RUNTIME_DIR": "/run/user/0"}, 0, "/run/plexigate/admin.sock"),
        ({"XDG_RUNTIME_DIR": "/run/user/1000"}, 1000, "/run/user/1000/plexigate/admin.sock"),
        ({}, 1000, f"{tempfile.gettempdir()}/plexigate-1000/admin.sock"),
    ],
)
def test_default_is_in_the_runtime_directory(environment: dict[str, str], user: int, expected: str) -> None:
    assert default_socket(environment, user) == Path(expected)


def test_a_command_looks_at_the_service_of_the_system_too() -> None:
    assert sockets_to_try({"XDG_RUNTIME_DIR": "/run/user/7"}, 7) == (
        Path("/run/user/7/plexigate/admin.sock"),
        Path("/run/plexigate/admin.sock"),
    )
    assert sockets_to_try({}, 0) == (Path("/run/plexigate/admin.sock"),)
    assert sockets_to_try({"RUNTIME_DIRECTORY": "/run/backup"}, 0) == (
        Path("/run/backup/plexigate/admin.sock"),
        Path("/run/plexigate/admin.sock"),
    )


@pytest.mark.parametrize("directory", ["/run/second/plexigate", "/run/second/plexigate:/run/more"])
def test_a_runtime_directory_of_plexigate_itself_is_the_only_place(directory: str) -> None:
    assert sockets_to_try({"RUNTIME_DIRECTORY": directory}, 0) == (Path("/run/second/plexigate/admin.sock"),)


def test_a_path_of_the_configuration_is_relative_to_its_file() -> None:
    config = Config(admin=AdminConfig.model_validate({"socket": "run/a.sock", "metrics_bind": "127.0.0.1:9464"}))
    settings = AdminSettings.of(
        (given := LoadedConfig(config, ConfigFile(Path("/etc/plexigate/plexigate.toml")))).file, given.config.admin
    )
    assert settings.socket == Path("/etc/plexigate/run/a.sock")
    assert [str(bind) for bind in settings.metrics_bind] == ["127.0.0.1:9464"]


def test_socket_of_the_page_is_there_if_the_configuration_names_one() -> None:
    file = ConfigFile(Path("/etc/p/p.toml"))
    assert AdminSettings.of(file, AdminConfig()).page_socket is None
    assert AdminSettings.of(file, AdminConfig(page_socket="/run/p/page.sock")).page_socket == Path("/run/p/page.sock")


def test_without_a_path_it_is_the_default_of_this_process() -> None:
    settings = AdminSettings.of(
        (given := LoadedConfig(Config(), ConfigFile(Path("/etc/plexigate/plexigate.toml")))).file, given.config.admin
    )
    assert settings == AdminSettings(default_socket(os.environ, os.geteuid()))
