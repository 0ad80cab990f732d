"""What another root is told of this machine's network."""

from pathlib import Path

from tests.machine_settings import PLACE, MachineSettings, apt_settings, pip_settings

DUMP = """\
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::Check-Valid-Until "false";
Acquire::IndexTargets::deb::Packages::Optional "0";
Acquire::Languages "";
"""


def test_only_the_network_of_apt_is_handed_over() -> None:
    assert apt_settings(DUMP) == (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Valid-Until "false";\n'
    )


def test_files_that_pip_is_told_of_are_found_elsewhere_in_the_other_root(tmp_path: Path) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_text("x")
    listed = f":env:.timeout='9'\nglobal.cert='{authorities}'\nglobal.index-url='https://mirror.example/simple'\n"
    listed += "global.timeout='5'\nglobal.find-links='/missing\\nhttps://wheels.example'\ninstall.user='true'\n"
    settings, files = pip_settings(listed)
    assert files == {PLACE / "cert-authorities.pem": authorities}
    assert settings.splitlines() == [
        "[global]",
        f"cert = {PLACE}/cert-authorities.pem",
        "index-url = https://mirror.example/simple",
        "timeout = 9",
        "find-links = /missing https://wheels.example",
    ]
    assert pip_settings("") == ("", {})


def test_they_are_copied_into_a_root(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a.whl").write_text("a")
    (tmp_path / "pip.conf").write_text("b")
    mounts = {Path("/run/machine/wheels"): tmp_path / "wheels", Path("/etc/pip.conf"): tmp_path / "pip.conf"}
    root = tmp_path / "root"
    MachineSettings(mounts, {}).copy_to(root)
    assert (root / "run" / "machine" / "wheels" / "a.whl").read_text() == "a"
    assert (root / "etc" / "pip.conf").read_text() == "b"
