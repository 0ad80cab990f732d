"""What stays in the root of the image, and its bill of materials."""

import json
from pathlib import Path
from typing import Any

import pytest

from docker.building.packages import STATUS, installed, needed
from docker.building.sbom import bill_of_materials
from docker.building.slim import CUT, KEPT, link, slim
from tests.proxy.doctor.cbom.bills import schema_fault

OS_RELEASE = 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'
REPORT: dict[str, Any] = {
    "install": [
        {
            "metadata": {"name": "typing_extensions", "version": "4.16.0", "license_expression": "PSF-2.0"},
            "download_info": {"url": "https://pkg.example/t.whl", "archive_info": {"hashes": {"sha256": 64 * "a"}}},
        },
        {
            "metadata": {"name": "plexigate", "version": "0.1.0", "license_expression": "Apache-2.0"},
            "download_info": {"url": "file:///opt/x.whl", "archive_info": {}},
        },
    ]
}


def paragraph(name: str, depends: str = "", provides: str = "", state: str = "install ok installed") -> str:
    lines = [f"Package: {name}", f"Status: {state}", "Architecture: amd64", f"Version: 1:1.0+x~{len(name)}"]
    lines += [f"Depends: {depends}"] if depends else []
    lines += [f"Provides: {provides}"] if provides else []
    return "\n".join([*lines, "Description: short", " and long", " ."])


def status_of(*paragraphs: str) -> str:
    return "\n\n".join(paragraphs) + "\n\n"


def test_a_package_needs_one_of_each_group_and_what_that_needs() -> None:
    packages = installed(
        status_of(
            paragraph("a", "b (>= 1:2) | c, d:any, virtual"),
            paragraph("c", "debconf (>= 0.5) | debconf-2.0"),
            paragraph("d"),
            paragraph("e", provides="virtual (= 1)"),
            paragraph("debconf"),
            paragraph("f", state="deinstall ok config-files"),
        )
    )
    assert set(packages) == {"a", "c", "d", "e", "debconf"}
    assert needed(packages, ["a"], frozenset({"debconf"})) == {"a", "c", "d", "e"}
    assert needed(packages, ["a"], frozenset()) == {"a", "c", "d", "e", "debconf"}
    with pytest.raises(KeyError):
        needed(packages, ["b"], frozenset())


def test_what_is_installed_to_install_is_not_kept() -> None:
    assert not CUT & set(KEPT)
    assert {"pkcs11-provider", "python3", "ca-certificates"} <= set(KEPT)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with the kept packages, apt, and one that shares a file with a kept one; /bin is a link."""
    for name in ("usr/bin", "usr/sbin", "etc/alternatives", "usr/share/doc/python3", "var/lib/dpkg/info", "var/log"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    info = tmp_path / "var" / "lib" / "dpkg" / "info"
    (info / "python3.list").write_text("/.\n/bin\n/bin/python3\n/usr/share/doc/python3/copyright\n/usr/bin/both\n")
    (info / "apt:amd64.list").write_text("/.\n/usr\n/usr/bin/apt\n/usr/bin/both\n/etc/apt.conf\n")
    for name in ("usr/bin/python3", "usr/bin/apt", "usr/bin/both", "etc/apt.conf", "var/log/dpkg.log"):
        (tmp_path / name).write_text(name)
    (tmp_path / "usr/share/doc/python3/copyright").write_text("license")
    (tmp_path / "usr/share/doc/python3/README").write_text("read me")
    (tmp_path / "etc/alternatives/get").symlink_to("/usr/bin/apt")
    (tmp_path / "usr/bin/get").symlink_to("/etc/alternatives/get")
    (tmp_path / STATUS).write_text(status_of(*(paragraph(name) for name in (*KEPT, "apt", "libtoken"))))
    return tmp_path


def test_slim_root_has_the_files_of_the_kept_packages(root: Path) -> None:
    slim(root, ["libtoken"])
    left = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or path.is_file()}
    assert left == {"bin", "usr/bin/python3", "usr/bin/both", "usr/share/doc/python3/copyright", str(STATUS)}
    assert set(installed((root / STATUS).read_text())) == {*KEPT, "libtoken"}
    with pytest.raises(KeyError, match="other"):
        slim(root, ["other"])


def test_busybox_takes_the_place_of_tools_that_are_gone_only(root: Path) -> None:
    link(root, ["python3", "sh"])
    assert (root / "bin" / "sh").readlink() == Path("busybox")
    assert not (root / "usr" / "bin" / "python3").is_symlink()


def test_bill_of_materials_is_valid_and_names_versions_and_hashes() -> None:
    document = bill_of_materials(status_of(paragraph("libssl3t64"), paragraph("zlib1g")), OS_RELEASE, REPORT)
    text = json.dumps(document)
    assert schema_fault(text) is None
    assert "pkg.example" not in text, "the address of a mirror is of the machine that built it"
    components = {one["name"]: one for one in document["components"]}
    assert list(components) == ["debian", "libssl3t64", "zlib1g", "typing_extensions"]
    assert components["libssl3t64"]["purl"] == (
        "pkg:deb/debian/libssl3t64@1%3A1.0%2Bx~10?arch=amd64&distro=debian-13&upstream=libssl3t64"
    )
    wheel = components["typing_extensions"]
    assert wheel["purl"] == "pkg:pypi/typing-extensions@4.16.0"
    assert wheel["hashes"] == [{"alg": "SHA-256", "content": 64 * "a"}]
    assert wheel["licenses"] == [{"expression": "PSF-2.0"}]
    assert document["metadata"]["component"]["components"][0]["purl"] == "pkg:pypi/plexigate@0.1.0"


def test_the_same_image_has_the_same_bill_of_materials() -> None:
    first, second = (bill_of_materials(status_of(paragraph("a")), OS_RELEASE, REPORT) for _ in range(2))
    assert first == second
    other = bill_of_materials(status_of(paragraph("b")), OS_RELEASE, REPORT)
    assert first["serialNumber"] != other["serialNumber"]
