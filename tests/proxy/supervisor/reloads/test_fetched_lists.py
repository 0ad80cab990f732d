"""Lists of clients' authorities come from their addresses, and only those that the authorities have made."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.identities.client_authorities import fetched_path
from config.values.problems import ConfigError
from proxy.observe.events.event import Event
from proxy.observe.scrape import RevocationFacts
from proxy.supervisor.reloads.fetched_lists import FetchedLists
from tests.certificates import DAY
from tests.client_authorities import ClientAuthority
from tests.configurations import Site
from tests.proxy.supervisor.reloads.test_changeover import RENEWED, Case
from tests.web_documents import WebDocuments, web_documents
from tests.workforces import NOW, edition_of

ROOT = ClientAuthority("Root")
REFRESH = 3_600.0


class Fetching(Case):
    """A parent that fetches."""

    def __init__(self, site: Site, web: WebDocuments) -> None:
        self.site = site
        self.url = f"{web.url}/a.crl"
        (site.directory / "ca.pem").write_bytes(ROOT.pem)
        super().__init__(edition_of(site, self.text()))
        self.ticks = 1_000.0
        self.told: list[str] = []
        self.fetched = FetchedLists(
            asyncio.get_running_loop(), self.changeover.renew, self.served, self.tell, lambda: self.ticks, lambda: NOW
        )

    def text(self, further: str = "") -> str:
        table = f'[identity.chat.client_certificates]\nca = "ca.pem"\ncrl_url = "{self.url}"\n{further}\n'
        return f'{self.site.minimal}{table}[rotation]\nstate = "state"\n'

    def tell(self, event: Event) -> None:
        self.told.append(event.event)

    async def look(self, seconds: float = 0.0) -> None:
        """Time passes, then it looks."""
        self.ticks += seconds
        await self.fetched.look()

    @property
    def path(self) -> Path:
        return fetched_path(self.served.edition.loaded.file.named("state"), self.url)

    @property
    def facts(self) -> RevocationFacts:
        (one,) = self.fetched.facts(self.served.edition.identities.revocations)
        return one


@pytest.fixture
def web() -> Iterator[WebDocuments]:
    with web_documents() as made:
        yield made


@pytest.fixture
async def fetching(tmp_path: Path, web: WebDocuments) -> Fetching:
    return Fetching(Site.make(tmp_path), web)


async def test_a_list_serves_and_is_kept_without_a_reload(fetching: Fetching, web: WebDocuments) -> None:
    assert fetching.fetched.facts(fetching.served.edition.identities.revocations) == [], "it was not asked for yet"
    web.contents["/a.crl"] = list_ = ROOT.revocations(valid=(-DAY, 7 * DAY))
    await fetching.look()
    assert fetching.steps == ["prepare", *RENEWED], "no file was read again"
    assert fetching.told == ["list_fetched"]
    assert fetching.path.read_bytes() == fetching.served.edition.material[str(fetching.path)].content == list_
    assert fetching.facts.expires_at - fetching.facts.begins_at == 8 * DAY.total_seconds()
    again = edition_of(fetching.site, fetching.text())
    assert again.material[str(fetching.path)].content == list_, "a start without the network has it"


async def test_it_is_fetched_again_after_its_time_and_served_if_it_has_changed(
    fetching: Fetching, web: WebDocuments
) -> None:
    web.contents["/a.crl"] = ROOT.revocations()
    await fetching.look()
    await fetching.look(REFRESH - 1)
    assert len(web.asked) == 1
    await fetching.look(1)
    assert len(web.asked) == 2
    assert fetching.told == ["list_fetched"], "it is the same"
    web.contents["/a.crl"] = newer = ROOT.revocations(ROOT.certificate, valid=(-DAY / 2, DAY))
    await fetching.look(REFRESH)
    assert fetching.told == ["list_fetched"] * 2
    assert fetching.path.read_bytes() == newer


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"rubbish", "it is no revocation list, in DER or PEM"),
        (ClientAuthority("Root").revocations(), "is not signed by that authority"),
        (ROOT.revocations(valid=(-2 * DAY, DAY)), "not newer than the one that is here"),
        (ROOT.revocations(valid=(DAY, 3 * DAY)), "it is current only from"),
        (None, "the server answered with status 404"),
    ],
)
async def test_what_must_not_be_used_changes_nothing_and_is_told_once(
    fetching: Fetching, web: WebDocuments, content: bytes | None, fault: str
) -> None:
    web.contents["/a.crl"] = good = ROOT.revocations()
    await fetching.look()
    web.contents.pop("/a.crl")
    if content is not None:
        web.contents["/a.crl"] = content
    await fetching.look(REFRESH)
    await fetching.look(300)
    assert len(web.asked) == 3, "it is tried again soon"
    assert fetching.told == ["list_fetched", "list_not_fetched"]
    assert fetching.path.read_bytes() == good
    assert fetching.facts.fault is not None
    assert fault in fetching.facts.fault
    web.contents["/a.crl"] = good
    await fetching.look(300)
    assert fetching.facts.fault is None


async def test_one_that_never_came_is_told_of(fetching: Fetching) -> None:
    await fetching.look()
    assert fetching.facts.expires_at == 0
    assert fetching.facts.fault == f"{fetching.url}: the server answered with status 404"


async def test_a_server_that_hangs_delays_no_other_list(fetching: Fetching, web: WebDocuments) -> None:
    asked = threading.Event()
    web.contents["/a.crl"] = lambda _: ROOT.revocations() if asked.wait(20) else b"nobody else was asked"
    other = f'crl_url = ["{fetching.url}", "{web.url}/b.crl"]'
    fetching.served.edition = edition_of(fetching.site, fetching.text().replace(f'crl_url = "{fetching.url}"', other))

    def second(_query: str) -> bytes:
        asked.set()
        return b"rubbish"

    web.contents["/b.crl"] = second
    await fetching.look()
    assert sorted(fetching.told) == ["list_fetched", "list_not_fetched"]


async def test_the_list_of_one_authority_removes_none_of_another(fetching: Fetching, web: WebDocuments) -> None:
    """By http somebody else may answer, with any list that an authority has ever signed."""
    below = ClientAuthority("Below", above=ROOT)
    (fetching.site.directory / "ca.pem").write_bytes(below.pem + ROOT.pem)
    new, old = below.revocations(below.certificate), below.revocations(valid=(-2 * DAY, 7 * DAY))
    roots = ROOT.revocations()
    for content in (new, roots, old, roots):
        web.contents["/a.crl"] = content
        await fetching.look(REFRESH)
        assert new in fetching.path.read_bytes()
    assert fetching.path.read_bytes() == new + roots
    assert fetching.told == ["list_fetched", "list_fetched", "list_not_fetched"]
    found = edition_of(fetching.site, fetching.text()).identities
    assert found.revocations[0].expires_at > NOW.timestamp(), "each authority has its list"


async def test_what_is_of_no_authority_any_more_is_removed(fetching: Fetching, web: WebDocuments) -> None:
    web.contents["/a.crl"] = kept = ROOT.revocations()
    fetching.path.parent.mkdir(parents=True)
    fetching.path.write_bytes(ClientAuthority("Gone").revocations() + kept)
    await fetching.look()
    assert fetching.path.read_bytes() == kept


async def test_what_a_worker_refuses_is_not_kept(fetching: Fetching, web: WebDocuments) -> None:
    fetching.refusal = "prepare"
    web.contents["/a.crl"] = ROOT.revocations()
    await fetching.look()
    assert fetching.told == ["list_not_fetched"]
    assert not fetching.path.exists()
    await fetching.look(300)
    assert fetching.path.exists()


async def test_an_address_that_is_gone_is_forgotten(fetching: Fetching, web: WebDocuments) -> None:
    await fetching.look()
    assert fetching.facts.fault is not None
    fetching.served.edition = edition_of(fetching.site, fetching.site.minimal)
    await fetching.look(REFRESH)
    assert len(web.asked) == 1
    assert fetching.fetched.facts(fetching.served.edition.identities.revocations) == []


async def test_addresses_need_a_place_to_keep_lists(fetching: Fetching) -> None:
    with pytest.raises(ConfigError, match=r"rotation\.state is not set"):
        edition_of(fetching.site, fetching.text().partition("[rotation]")[0])
