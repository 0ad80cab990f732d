"""What the doctor finds out about etcd."""

import asyncio
from pathlib import Path

import pytest

from proxy.commands.check import check
from proxy.doctor.finding import State
from proxy.doctor.fleet import fleet_findings
from proxy.supervisor.membership.epochs import place_of
from proxy.supervisor.membership.etcd import EtcdStore
from proxy.supervisor.membership.examination import examined, recovery_problems
from proxy.supervisor.membership.places import FOUNDED, MEMBERS, recovery_place
from tests.etcd import Etcd
from tests.ports import lasting_port
from tests.proxy.supervisor.membership.test_configured import loaded_of
from tests.proxy.supervisor.membership.test_etcd_users import Guarded, commands


async def test_a_node_is_told_what_it_may_do_and_leaves_nothing(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path)
    with guarded.etcd.running():
        guarded.etcd.administered(commands(), tmp_path)
        loaded = loaded_of(tmp_path, guarded.settings("edge-1"))
        trial = await examined(loaded)
        store = guarded.store("edge-1")
        assert (await store.read()).entries == {}
        await store.close()
        assert [one["fault"] for one in trial["endpoints"]] == [None]
        assert trial["endpoints"][0]["version"].startswith("3.5")
        assert (trial["read_fault"], trial["write_fault"], trial["own_fault"]) == (None, None, None)
        assert (trial["members"], trial["is_confined"]) == (1, True)
        assert trial["skew"] is not None
        assert abs(trial["skew"]) < 10

        # all of the prefix
        script = "etcdctl role grant-permission plexigate readwrite --prefix /plexigate/"
        guarded.etcd.administered(script, tmp_path, USER="root:secret-of-root-password")
        assert (await examined(loaded))["is_confined"] is False
        # nothing but reading
        script = "etcdctl role revoke-permission plexigate --prefix /plexigate/ && etcdctl role grant-permission plexigate read --prefix /plexigate/"
        guarded.etcd.administered(
            script + "\netcdctl role delete plexigate-edge-1", tmp_path, USER="root:secret-of-root-password"
        )
        script = "etcdctl role revoke-permission plexigate /plexigate/ /plexigate/nodes/\netcdctl role revoke-permission plexigate /plexigate/nodes0 /plexigate0"
        guarded.etcd.administered(script, tmp_path, USER="root:secret-of-root-password")
        trial = await examined(loaded)
        assert trial["read_fault"] is None
        assert "permission denied" in (trial["write_fault"] or "")
        assert "permission denied" in (trial["own_fault"] or "")
        states = {one.subject: one.state for one in fleet_findings(trial)}
        assert (states["writes"], states["its own name"]) == (State.FAILURE, State.FAILURE)


async def test_a_fleet_that_no_shares_open_is_a_warning_of_a_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etcd = Etcd(tmp_path)
    loaded = loaded_of(tmp_path, f'etcd = "{etcd.url}"\nname = "edge-1"')
    store = EtcdStore([etcd.url], None, "/plexigate")

    async def warned() -> bool:
        found = await recovery_problems(loaded)
        assert {(one.is_error, one.key) for one in found} <= {(False, "fleet")}
        return bool(found)

    assert not await warned(), "etcd does not answer"
    with etcd.running():
        assert not await warned(), "there is no fleet"
        await store.commit({}, {FOUNDED: b"", MEMBERS + "edge-1": b"", recovery_place(1, "edge-2"): b""})
        assert await warned(), "edge-2 is no member"
        problems = await asyncio.to_thread(check, loaded.file.path)
        assert "a fleet that no recovery shares open when all nodes are lost" in [one.found for one in problems]
        await store.commit({}, {recovery_place(1, "edge-1"): b""})
        assert not await warned()
        await store.commit({}, {place_of(2): b""})
        assert await warned(), "they open the epoch before"
        monkeypatch.setattr("proxy.supervisor.membership.examination._MOMENT_SECONDS", 0.05)
        etcd.sleep()
        assert not await warned(), "a check does not wait for it"
    await store.close()
    (tmp_path / "other").mkdir()
    missing = loaded_of(tmp_path / "other", 'etcd = "https://127.0.0.1:1"\nca = "missing.pem"')
    assert await recovery_problems(missing) == (), "its files are told by others"


async def test_an_etcd_that_is_away_is_a_fault_of_each_address(tmp_path: Path) -> None:
    one, two = (f"http://127.0.0.1:{lasting_port()}" for _ in range(2))
    trial = await examined(loaded_of(tmp_path, f'etcd = ["{one}", "{two}"]\nname = "edge-1"'))
    assert trial["members"] is None
    assert trial["read_fault"]
    assert all(row["fault"] for row in trial["endpoints"])
    assert {one.state for one in fleet_findings(trial)} == {State.FAILURE}
    assert pytest.approx(3) == len(list(fleet_findings(trial)))
