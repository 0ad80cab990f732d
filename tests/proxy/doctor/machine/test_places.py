"""Which files a configuration names, and what is in them."""

from pathlib import Path

from proxy.doctor.machine.places import Content, places_of
from tests.configurations import Site
from tests.proxy.doctor.checkups import configured


def test_each_place_has_its_content(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    text = f'{site.minimal}[rotation]\nstate = "state"\n[log]\nfile = "access.log"\n[audit]\nfile = "audit.log"\n'
    places = {one.key: one for one in places_of(configured(site.write(text)))}
    assert {key: one.content for key, one in places.items()} == {
        "the configuration": Content.CONFIGURATION,
        "identity.chat.certificate": Content.PUBLIC,
        "identity.chat.key": Content.SECRET,
        "rotation.state": Content.STATE,
        "log.file": Content.LOG,
        "audit.file": Content.LOG,
        "the state directory": Content.STATE,
        "the admin socket": Content.SOCKET,
    }
    assert places["rotation.state"].path == tmp_path / "state"
    assert [key for key, one in places.items() if not one.is_written] == [
        "the configuration",
        "identity.chat.certificate",
        "identity.chat.key",
    ]
