"""etcd with users and roles, by the commands of docs/fleet.md."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.supervisor.membership.etcd import EtcdStore, EtcdUser
from proxy.supervisor.membership.shared import SharedAway
from tests.certificates import Authority
from tests.documents import read
from tests.etcd import Etcd
from tests.made_documents import ROOT
from tests.proxy.supervisor.membership.nodes import World, joined

SECTION = "users-and-roles-of-etcd"
WORD = "secret-of-etcd-password"
GONE = "gone.1"
Open = Callable[..., EtcdStore]


def commands() -> str:
    """What an operator runs for two nodes."""
    blocks = read(ROOT / "docs/fleet.md").section(SECTION).blocks
    role, node, enable = (one.text for one in blocks if one.language == "sh")
    return "\n".join((role, node, node.replace("edge-1", "edge-2"), enable))


class Guarded:
    """An etcd with users, and how a node reaches it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority(directory, "etcd authority")
        self.etcd = Etcd(directory, self.authority.issue("etcd"), self.authority.path)
        for name in ("etcd-password", "root-password"):
            (directory / name).write_text(f"secret of {name}\n".replace(" ", "-"))

    def settings(self, user: str) -> str:
        """The table of a node."""
        node = self.authority.issue(f"file-{user}", is_named=False)
        (self.directory / "etcd-password").chmod(0o600)
        return (
            f'etcd = "{self.etcd.url}"\nname = "{user}"\nca = "{self.authority.path}"\ncertificate = "{node.certificate}"\n'
            f'key = "{node.key}"\nuser = "{user}"\npassword_file = "{self.directory}/etcd-password"\n'
        )

    def store(self, user: str | None, password: str = WORD, *, is_named: bool = False) -> EtcdStore:
        """The store of a node with a certificate."""
        files = self.authority.issue(f"node-{user}", is_named=is_named)
        tls = self.authority.client_context()
        tls.load_cert_chain(files.certificate, files.key)
        who = None if user is None else EtcdUser(user, lambda: password)
        return EtcdStore([self.etcd.url], tls, "/plexigate", who)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """An etcd as the document makes it."""
    made = Guarded(tmp_path_factory.mktemp("guarded"))
    with made.etcd.running():
        made.etcd.administered(commands(), made.directory)
        yield made


@pytest.fixture
async def opened(guarded: Guarded) -> AsyncIterator[Open]:
    """Opens stores, which are closed after the test."""
    async with AsyncExitStack() as stack:

        def make(user: str | None, password: str = WORD, *, is_named: bool = False) -> EtcdStore:
            store = guarded.store(user, password, is_named=is_named)
            stack.push_async_callback(store.close)
            return store

        yield make


async def test_a_node_writes_below_its_own_name_and_not_below_that_of_another(opened: Open) -> None:
    one, two = opened("edge-1"), opened("edge-2")
    await one.commit({}, {"nodes/edge-1/a": b"1", "tickets": b"2", "zones/a": b"3"})
    assert {"nodes/edge-1/a", "tickets", "zones/a"} <= {*(await two.read()).entries}
    with pytest.raises(SharedAway, match="permission denied"):
        await two.commit({}, {"nodes/edge-1/a": b"forged"})
    with pytest.raises(SharedAway, match="permission denied"):
        await two.commit({}, {"nodes/edge-1/a": None})
    await one.commit({}, {"nodes/edge-1/a": None, "tickets": None, "zones/a": None})
    elsewhere = opened("edge-1")
    elsewhere._prefix = "/plexigate-2/"
    with pytest.raises(SharedAway, match="permission denied"):
        await elsewhere.read()


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [
        ("edge-1", "wrong", "authentication failed"),
        ("edge-9", WORD, "authentication failed"),
        (None, "", "user name is empty"),
    ],
)
async def test_who_is_no_user_is_told_so(opened: Open, user: str | None, password: str, reason: str) -> None:
    with pytest.raises(SharedAway, match=reason) as refused:
        await opened(user, password).read()
    assert "secret-of" not in str(refused.value)


async def test_a_certificate_with_a_common_name_is_refused_by_the_gateway(opened: Open) -> None:
    with pytest.raises(SharedAway, match="CommonName"):
        await opened("edge-1", is_named=True).read()


async def test_a_token_that_etcd_knows_no_more_is_renewed_without_a_failure(opened: Open) -> None:
    store = opened("edge-1")
    store._token = GONE
    await store.commit({}, {"nodes/edge-1/a": None})
    known = store._token
    await store.read()
    assert store._token == known != GONE


async def test_nodes_found_join_and_lead_by_these_roles(tmp_path: Path, opened: Open) -> None:
    world = World(tmp_path)
    one = world.node("edge-1", opened("edge-1"))
    world.now = (await one.member.shared.read()).now
    two = world.node("edge-2", opened("edge-2"))
    async with one.running():
        await one.founds()
        async with two.running():
            await joined(two, one)
            await two.serves(one)
