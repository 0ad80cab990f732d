"""etcd as the store of a fleet, by its JSON gateway (etcd 3.5).

Theory of operation. Each request goes to one member of etcd's cluster, and after a failure to the
next one. A transaction that may have been made is not sent again: it would conflict with itself. A
watch is an answer that does not end; when requests go elsewhere it is ended too, because the member
behind it may be gone without a word. Who asks then reads everything again.

The leader holds the name `LEADER` by a lease. The revision that created it is the fencing token:
each write of the leader compares it in the same transaction, so that one who slept longer than the
lease writes nothing.

Where etcd has users, a password gives a token of some minutes, and each request has it. etcd
refuses one that is over with status 401: then a new one is asked for. etcd's gateway knows no users
by certificate, and refuses a certificate with a common name there.

Numbers of 64 bits are text in this JSON, keys and values are in base64, and what is zero or empty
is left out.
"""

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from config.values.problems import printable
from proxy.net.in_thread import in_thread
from proxy.net.tcp_options import tune
from proxy.supervisor.membership.refusals import MOST_BYTES, StoreTooLarge
from proxy.supervisor.membership.shared import (
    LEADER,
    LEASE_SECONDS,
    Conflict,
    SharedAway,
    StoreChange,
    StoreContent,
    Stored,
)

_ANSWER_SECONDS: Final = 1.5
"""All members of a cluster of three are asked before a lease ends."""
_SHOWN: Final = 200
_UNAUTHORIZED: Final = 401
# A line of a watch has the changes of one moment; etcd takes no request above 1.5 MB. aiohttp
# refuses a line of more than twice this, and reads no further before the line was taken: that is
# all the memory of a watch, however many changes there are.
_LONGEST_LINE: Final = 4 * 1_048_576
_PAGE: Final = "1000"
"""The names of one answer, so that no answer becomes late by their number."""


@dataclass(frozen=True, slots=True)
class EtcdUser:
    """A user of etcd. `password` reads it, each time that it is needed; it raises `OSError`."""

    name: str
    password: Callable[[], str]


class EtcdStore:
    """A `Shared`. Use it within a running loop, and `close` it."""

    def __init__(
        self, endpoints: Sequence[str], tls: ssl.SSLContext | None, prefix: str, user: EtcdUser | None = None
    ) -> None:
        """`tls` is for https, with the certificate of this node. Names are below `prefix`."""
        self._endpoints = [one.rstrip("/") for one in endpoints]
        self._prefix = prefix.rstrip("/") + "/"
        self._tls = tls
        self._user = user
        self._token: str | None = None
        self._made: aiohttp.ClientSession | None = None
        self._asked = 0
        """Which of the endpoints is asked."""
        self._now = 0.0
        """The time of the last answer, in UNIX seconds."""
        self._watched: aiohttp.ClientResponse | None = None
        self._left: str | None = None
        """Why the watch was ended here."""

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()
            self._made = None

    async def read(self) -> StoreContent:
        wanted = {**self._range, "limit": _PAGE}
        entries: dict[str, Stored] = {}
        revision = 0
        size = 0
        while True:
            found = await self._ask("kv/range", wanted)
            revision = revision or _revision(found["header"])
            page = {self._name(one["key"]): _stored(one) for one in found.get("kvs", ())}
            entries |= page
            size += sum(len(one.value) for one in page.values())
            if not found.get("more"):
                return StoreContent(entries, revision, self._now)
            if size > MOST_BYTES:
                raise StoreTooLarge
            # all pages are of one revision; the next one begins behind the last key
            following = base64.b64decode(found["kvs"][-1]["key"]) + b"\0"
            wanted |= {"key": _encoded(following), "revision": str(revision)}

    async def time(self) -> float:
        _ = await self._ask("kv/range", {"key": self._key(LEADER), "keys_only": True})
        return self._now

    async def watch(self, revision: int) -> AsyncGenerator[Sequence[StoreChange]]:
        wanted = {"create_request": {**self._range, "start_revision": str(revision)}}
        unlimited = aiohttp.ClientTimeout(total=None, connect=_ANSWER_SECONDS)
        endpoint = self._endpoints[self._asked]
        self._left = None
        try:
            async with self._session.post(
                self._address("watch"), json=wanted, headers=await self._proof(), timeout=unlimited
            ) as answer:
                self._watched = answer
                async for line in answer.content:
                    told = _object(line)
                    result = told.get("result")
                    if result is None or result.get("canceled"):
                        raise SharedAway(f"etcd ended a watch: {_reason(told)}")
                    if changes := [self._change(event) for event in result.get("events", ())]:
                        yield changes
        except _Refused as refused:
            raise SharedAway(refused.reason) from None
        except LineTooLong:  # no ClientError, and its text has the line
            raise SharedAway(f"a change of more than {2 * _LONGEST_LINE >> 10} KB") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
            raise SharedAway(self._left or f"{endpoint}: {_clause(error)}") from None
        finally:
            self._watched = None
        raise SharedAway("etcd ended a watch")

    async def commit(
        self,
        compares: Mapping[str, int],
        writes: Mapping[str, bytes | None],
        token: int | None = None,
        lasts_seconds: int | None = None,
    ) -> None:
        lease = {} if lasts_seconds is None else {"lease": await self._lease(lasts_seconds)}
        conditions = [
            {"key": self._key(name), "target": "MOD", "mod_revision": str(revision), "result": "EQUAL"}
            for name, revision in compares.items()
        ]
        if token is not None:
            conditions.append(self._is_created(token))
        done = await self._ask(
            "kv/txn",
            {
                "compare": conditions,
                "success": [
                    {"request_delete_range": {"key": self._key(name)}}
                    if value is None
                    else {"request_put": {"key": self._key(name), "value": _encoded(value), **lease}}
                    for name, value in writes.items()
                ],
            },
            may_repeat=False,
        )
        if not done.get("succeeded"):
            raise Conflict

    async def lead(self, name: str) -> "EtcdLeadership | None":
        found = await self._ask("kv/range", {"key": self._key(LEADER), "keys_only": True})
        if found.get("kvs"):
            return None
        lease = await self._lease(LEASE_SECONDS)
        key = self._key(LEADER)
        put = {"request_put": {"key": key, "value": _encoded(name.encode()), "lease": lease}}
        try:
            done = await self._ask("kv/txn", {"compare": [self._is_created(0)], "success": [put]}, may_repeat=False)
        except SharedAway:
            # the transaction may have been made, and this node cannot know its token
            await EtcdLeadership(self, lease, 0).give_up()
            raise
        leadership = EtcdLeadership(self, lease, _revision(done["header"]))
        if done.get("succeeded"):
            return leadership
        await leadership.give_up()
        return None

    # -- for the doctor

    async def standing(self) -> tuple[str, bool, list[str]]:
        """The version of a member, whether the cluster has a leader, and its alarms. Raises
        `SharedAway`.
        """
        found = await self._ask("maintenance/status", {})
        alarms = [printable(str(one)) for one in found.get("errors", ())]
        return printable(str(found.get("version", ""))), found.get("leader", "0") != "0", alarms

    async def size(self) -> int:
        """How many members the cluster has. Raises `SharedAway`."""
        return len((await self._ask("cluster/member/list", {})).get("members", ()))

    # -- what etcd speaks

    async def _lease(self, seconds: int) -> str:
        return str((await self._ask("lease/grant", {"TTL": str(seconds)}))["ID"])

    async def keep_lease(self, lease: str) -> bool:
        """Whether a lease was prolonged; else it is over. Raises `SharedAway`."""
        return "TTL" in (await self._ask("lease/keepalive", {"ID": lease})).get("result", {})

    async def end_lease(self, lease: str) -> None:
        """Remove what was written with a lease. Raises `SharedAway`, also if it is over."""
        _ = await self._ask("lease/revoke", {"ID": lease})

    async def _ask(self, method: str, body: Mapping[str, Any], *, may_repeat: bool = True) -> dict[str, Any]:
        """Ask one member after the other; the next one too that may have done it already, if it
        `may_repeat`. Raises `SharedAway` with what each of them said.
        """
        reasons: dict[str, str] = {}
        for _ in self._endpoints:
            endpoint = self._endpoints[self._asked]
            is_unsent = False
            try:
                return await self._ask_member(method, body)
            except _Refused as refused:
                reasons[endpoint] = refused.reason
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                reasons[endpoint] = _clause(error)
                is_unsent = isinstance(error, aiohttp.ClientConnectorError)
            self._asked = (self._asked + 1) % len(self._endpoints)
            if self._watched is not None:
                self._left = f"{endpoint}: {reasons[endpoint]}"
                self._watched.close()
            if not (may_repeat or is_unsent):
                break
        raise SharedAway("; ".join(f"{one}: {reason}" for one, reason in reasons.items()))

    async def _ask_member(self, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._post(method, body, await self._proof())
        except _Refused as refused:
            if self._token is None or refused.status != _UNAUTHORIZED:
                raise
        self._token = None
        return await self._post(method, body, await self._proof())

    async def _proof(self) -> Mapping[str, str]:
        """The header field that tells etcd which user asks. Raises as `_post`."""
        if self._user is None:
            return {}
        if self._token is None:
            # in a thread: the file may be on a share
            password = await in_thread(asyncio.get_running_loop(), self._user.password)
            wanted = {"name": self._user.name, "password": password}
            self._token = str((await self._post("auth/authenticate", wanted, {}))["token"])
        return {"Authorization": self._token}

    async def _post(self, method: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Ask the present member. Raises `_Refused`, and what aiohttp, an address or JSON raise."""
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with self._session.post(self._address(method), json=body, headers=headers, timeout=timeout) as answer:
            text = await _text(answer)
            self._now = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
            if answer.status == 200:
                return _object(text)
            # some refusals are no JSON
            reason = _reason(json.loads(text)) if text.startswith("{") else f"{text[:_SHOWN]!a}"
            raise _Refused(answer.status, reason)

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._made is None:
            # a proxy of the environment is for other traffic
            tls = True if self._tls is None else self._tls
            connector = aiohttp.TCPConnector(ssl=tls, socket_factory=_tuned_socket)
            self._made = aiohttp.ClientSession(connector=connector, read_bufsize=_LONGEST_LINE, trust_env=False)
        return self._made

    def _address(self, method: str) -> str:
        return f"{self._endpoints[self._asked]}/v3/{method}"

    def _key(self, name: str) -> str:
        return _encoded((self._prefix + name).encode())

    def _name(self, key: str) -> str:
        return base64.b64decode(key).decode(errors="replace").removeprefix(self._prefix)

    @property
    def _range(self) -> dict[str, str]:
        # all keys that begin so: up to the first one that is greater
        first = self._prefix.encode()
        return {"key": _encoded(first), "range_end": _encoded(first[:-1] + bytes([first[-1] + 1]))}

    def _is_created(self, revision: int) -> dict[str, str]:
        key = self._key(LEADER)
        return {"key": key, "target": "CREATE", "create_revision": str(revision), "result": "EQUAL"}

    def _change(self, event: Mapping[str, Any]) -> StoreChange:
        found = event["kv"]
        revision = int(found["mod_revision"])
        return StoreChange(
            self._name(found["key"]), None if event.get("type") == "DELETE" else _stored(found), revision
        )


class _Refused(Exception):
    """A member of etcd's cluster has answered, and not done what was asked."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class EtcdLeadership:
    """A `Leadership`."""

    store: EtcdStore
    lease: str
    token: int

    async def keep(self) -> bool:
        return await self.store.keep_lease(self.lease)

    async def give_up(self) -> None:
        with suppress(SharedAway):  # then it ends by itself
            await self.store.end_lease(self.lease)


def _tuned_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Behind a balancer, the member that a watch has may be gone while another one answers."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    tune(made)
    return made


async def _text(answer: aiohttp.ClientResponse) -> str:
    """Raises `ValueError` for one that is longer than what this node would take."""
    parts: list[bytes] = []
    left = MOST_BYTES
    async for part in answer.content.iter_any():
        parts.append(part)
        left -= len(part)
        if left < 0:
            raise ValueError(f"an answer of more than {MOST_BYTES >> 20} MB")
    return b"".join(parts).decode()


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _stored(found: Mapping[str, Any]) -> Stored:
    return Stored(base64.b64decode(found.get("value", "")), int(found["mod_revision"]))


def _revision(header: Mapping[str, Any]) -> int:
    return int(header["revision"])


def _object(answer: str | bytes) -> dict[str, Any]:
    """Raises `ValueError` for what no etcd says."""
    found = json.loads(answer)
    if not isinstance(found, dict):
        raise ValueError("an answer that is no object")  # noqa: TRY004 - as for what is no JSON
    return found


def _reason(told: Mapping[str, Any]) -> str:
    error = told.get("error")
    inner: Mapping[str, Any] = error if isinstance(error, dict) else told
    result = told.get("result") or {}
    # it goes to terminals too
    return printable(str(inner.get("message") or result.get("cancel_reason") or error or "an answer without a reason"))


def _clause(error: BaseException) -> str:
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return f"no answer within {_ANSWER_SECONDS:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error  # its own text has the address once more, and often no reason
    return str(error) or type(error).__name__
