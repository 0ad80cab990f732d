"""A small ACME CA for tests: what pebble lacks (profiles, rate limits, RFC 9773, answers on demand), and strict about what it is sent.

It runs on a thread of its own, over TLS. Every signed request is verified: signature, URL, nonce, account. What the CA would look
at on the network, it asks the test for (`look`).
"""

import asyncio
import base64
import json
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from acme import jws
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.jwk import JWK, JWKOct

from tests.certificates import Authority

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ERROR = "urn:ietf:params:acme:error:"
EAB_KEY = base64.urlsafe_b64encode(bytes(range(32))).rstrip(b"=").decode()


class Refusal(Exception):
    """What a request is answered with instead."""

    def __init__(self, status: int, type_: str, detail: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(type_)
        self.status = status
        self.document: dict[str, Any] = {"type": f"{ERROR}{type_}", "detail": detail}
        self.headers = dict(headers or {})


@dataclass
class Challenge:
    """One way to prove a name."""

    kind: str
    token: str
    status: str = "pending"
    error: dict[str, Any] | None = None


@dataclass
class Name:
    """An authorization."""

    value: dict[str, str]
    account: str
    challenges: list[Challenge]
    status: str = "pending"
    is_wildcard: bool = False


@dataclass
class Order:
    """What was asked for, as it was asked, and what became of it."""

    asked: dict[str, Any]
    account: str
    names: list[int]
    status: str = "pending"
    chain: bytes = b""
    error: dict[str, Any] | None = None


@dataclass
class AcmeDirectory:
    """The CA. What begins with a verb is told to a test; all else may be set by one."""

    url: str = ""
    trust: Path = Path()
    kinds: tuple[str, ...] = ("http-01", "tls-alpn-01", "dns-01")
    profiles: dict[str, str] = field(default_factory=dict)
    binding_keys: dict[str, str] = field(default_factory=dict)
    window: tuple[datetime, datetime] | None = None
    ari_headers: dict[str, str] = field(default_factory=dict)
    look: Callable[[str, str, str], dict[str, Any] | None] = lambda _kind, _name, _authorization: None
    """(kind, name, key authorization) -> None if the CA is content, else the problem that it met."""
    refusals: dict[str, list[Refusal]] = field(default_factory=dict)
    """By path: the next answers instead of the real ones."""
    nonces_to_reject: int = 0
    looks_before_issued: int = 0
    retry_after: str | None = None
    """Of orders that are still processed."""
    lifetime: timedelta = 6 * DAY
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By URL: its `key` (JWK), `status`, `contact`."""
    orders: list[Order] = field(default_factory=list)
    names: list[Name] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """Paths, in order."""
    agents: set[str] = field(default_factory=set)
    revoked: list[tuple[int, int]] = field(default_factory=list)
    """Serial number and reason."""
    replaced: set[str] = field(default_factory=set)
    not_mine: set[str] = field(default_factory=set)
    lists_orders: bool = False
    lists_bare: bool = False
    """As step-ca does: an array, and not an object."""
    _nonces: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.root = _root(self.key)

    # -- what is sent

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        path = request.path
        self.requests.append(path)
        self.agents.add(request.headers.get("User-Agent", ""))
        headers = {"Replay-Nonce": self._nonce()}
        try:
            if self.refusals.get(path):
                raise self.refusals[path].pop(0)
            found = await self._found(request, headers)
        except Refusal as refusal:
            document = {**refusal.document, "status": refusal.status}
            return web.json_response(
                document,
                status=refusal.status,
                content_type="application/problem+json",
                headers={**headers, **refusal.headers},
            )
        if isinstance(found, bytes):
            return web.Response(body=found, content_type="application/pem-certificate-chain", headers=headers)
        return web.json_response(found, headers=headers, status=201 if "Location" in headers else 200)

    async def _found(self, request: web.BaseRequest, headers: dict[str, str]) -> Any:
        path = request.path
        if path == "/dir":
            return self._directory()
        if path == "/nonce":
            return {}
        if path.startswith("/ari/"):
            return self._renewal_info(path.removeprefix("/ari/"), headers)
        payload, account, key = await self._verified(request)
        if path == "/account":
            return self._account(payload, key, headers)
        if account is None:
            raise Refusal(400, "malformed", "no kid")
        if path == "/order":
            return self._new_order(payload, account, headers)
        if path in {"/revoke", "/key"}:
            return self._revoke(payload) if path == "/revoke" else self._change_key(payload, account)
        what, _, number = path.strip("/").partition("/")
        listing = {"orders": self._at("/orders/0")} if self.lists_orders else {}
        steps: dict[str, Callable[[int, Any, dict[str, str]], Any]] = {
            "account": lambda _number, _payload, _headers: {"status": "valid", **listing},
            "orders": self._listed,
            "order": self._order_stands,
            "authz": self._authorization,
            "challenge": self._challenge,
            "finalize": self._finalize,
            "certificate": lambda index, _payload, _headers: self.orders[index].chain,
        }
        return steps[what](int(number), payload, headers)

    def _directory(self) -> dict[str, Any]:
        meta: dict[str, Any] = {"termsOfService": f"{self.url}/terms"}
        if self.profiles:
            meta["profiles"] = self.profiles
        if self.binding_keys:
            meta["externalAccountRequired"] = True
        found = {"newNonce": "/nonce", "newAccount": "/account", "newOrder": "/order", "revokeCert": "/revoke"}
        directory: dict[str, Any] = {name: self._at(path) for name, path in found.items()}
        if self.window is not None:
            directory["renewalInfo"] = self._at("/ari")
        return {**directory, "keyChange": self._at("/key"), "meta": meta}

    def _at(self, path: str) -> str:
        return self.url.removesuffix("/dir") + path

    def _nonce(self) -> str:
        nonce = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
        self._nonces.add(nonce)
        return nonce

    async def _verified(self, request: web.BaseRequest) -> tuple[Any, str | None, JWK]:
        if request.method != "POST" or request.content_type != "application/jose+json":
            raise Refusal(415, "malformed", f"{request.method} of {request.content_type}")
        signed = jws.JWS.json_loads(await request.text())
        header = signed.signature.combined
        account = header.kid
        if account is None:
            key = header.jwk
        elif account in self.accounts:
            key = self.accounts[account]["key"]
        else:
            raise Refusal(400, "accountDoesNotExist", "unknown")
        if not signed.verify(key=key) or header.url != self._at(request.path) or header.alg.name != "ES256":
            raise Refusal(403, "malformed", "signature or URL")
        nonce = base64.urlsafe_b64encode(header.nonce).rstrip(b"=").decode()
        if nonce not in self._nonces:
            raise Refusal(400, "badNonce", "used or unknown")
        self._nonces.discard(nonce)
        if self.nonces_to_reject:
            self.nonces_to_reject -= 1
            raise Refusal(400, "badNonce", "on purpose")
        if account is not None and self.accounts[account]["status"] != "valid":
            raise Refusal(401, "unauthorized", "the account is closed")
        return (json.loads(signed.payload) if signed.payload else None), account, key

    # -- accounts and orders

    def _account(self, asked: dict[str, Any], key: JWK, headers: dict[str, str]) -> Any:
        for url, known in self.accounts.items():
            if known["key"] == key:
                if known["status"] != "valid":
                    raise Refusal(401, "unauthorized", "the account is closed")
                headers["Location"] = url
                return {"status": "valid"}
        if asked.get("onlyReturnExisting"):
            raise Refusal(400, "accountDoesNotExist", "unknown")
        if asked.get("termsOfServiceAgreed") is not True:
            raise Refusal(403, "userActionRequired", "terms")
        if self.binding_keys:
            self._check_binding(asked.get("externalAccountBinding"), key)
        url = self._at(f"/account/{len(self.accounts) + 1}")
        self.accounts[url] = {"key": key, "status": "valid", "contact": asked.get("contact", [])}
        headers["Location"] = url
        return {"status": "valid"}

    def _change_key(self, inner: Any, account: str) -> Any:
        """RFC 8555 section 7.3.5."""
        signed = jws.JWS.from_json(inner)
        header = signed.signature.combined
        asked = json.loads(signed.payload)
        if not signed.verify(key=header.jwk) or header.url != self._at("/key") or header.nonce:
            raise Refusal(400, "malformed", "inner signature, URL or nonce")
        if asked["account"] != account or JWK.from_json(asked["oldKey"]) != self.accounts[account]["key"]:
            raise Refusal(400, "malformed", "account or old key")
        self.accounts[account]["key"] = header.jwk
        return {"status": "valid"}

    def _check_binding(self, binding: Any, key: JWK) -> None:
        if binding is None:
            raise Refusal(401, "externalAccountRequired", "no binding")
        signed = jws.JWS.from_json(binding)
        header = signed.signature.combined
        mac = self.binding_keys.get(header.kid)
        if mac is None or header.url != self._at("/account"):
            raise Refusal(401, "unauthorized", "unknown external account")
        raw = base64.urlsafe_b64decode(mac + "=" * (-len(mac) % 4))
        if not signed.verify(key=JWKOct(key=raw)) or JWK.from_json(json.loads(signed.payload)) != key:
            raise Refusal(401, "unauthorized", "binding of another key")

    def _new_order(self, asked: dict[str, Any], account: str, headers: dict[str, str]) -> Any:
        if "profile" in asked and asked["profile"] not in self.profiles:
            raise Refusal(400, "invalidProfile", asked["profile"])
        replaces = asked.get("replaces")
        if replaces in self.not_mine:
            raise Refusal(404, "malformed", "no certificate of mine")
        if replaces is not None and replaces in self.replaced:
            raise Refusal(409, "alreadyReplaced", replaces)
        numbers = []
        for identifier in asked["identifiers"]:
            value = dict(identifier)
            is_wildcard = value["value"].startswith("*.")
            value["value"] = value["value"].removeprefix("*.")
            kinds = ("dns-01",) if is_wildcard else self.kinds
            made = [Challenge(kind, secrets.token_urlsafe(24)) for kind in (*kinds, "carrier-pigeon-01")]
            self.names.append(Name(value, account, made, is_wildcard=is_wildcard))
            numbers.append(len(self.names) - 1)
        if replaces is not None:
            self.replaced.add(replaces)
        self.orders.append(Order(asked, account, numbers))
        headers["Location"] = self._at(f"/order/{len(self.orders) - 1}")
        return self._shown(len(self.orders) - 1)

    def _shown(self, number: int) -> dict[str, Any]:
        order = self.orders[number]
        states = {self.names[index].status for index in order.names}
        if order.status == "pending" and states == {"valid"}:
            order.status = "ready"
        if "invalid" in states:
            order.status = "invalid"
        shown = {
            "status": order.status,
            "identifiers": order.asked["identifiers"],
            "authorizations": [self._at(f"/authz/{index}") for index in order.names],
            "finalize": self._at(f"/finalize/{number}"),
            **({"profile": order.asked["profile"]} if "profile" in order.asked else {}),
        }
        if order.chain and order.status == "valid":
            shown["certificate"] = self._at(f"/certificate/{number}")
        if order.error is not None:
            shown["error"] = order.error
        return shown

    def _order_stands(self, number: int, payload: Any, headers: dict[str, str]) -> Any:
        assert payload is None
        order = self.orders[number]
        if order.status == "processing":
            if self.looks_before_issued:
                self.looks_before_issued -= 1
                if self.retry_after is not None:
                    headers["Retry-After"] = self.retry_after
            else:
                order.status = "valid"
        return self._shown(number)

    def _listed(self, page: int, payload: Any, headers: dict[str, str]) -> Any:
        """Two orders on a page (RFC 8555 section 7.1.2.1)."""
        assert payload is None
        if 2 * (page + 1) < len(self.orders):
            headers["Link"] = f'<{self.url}>;rel="index", </orders/{page + 1}>;rel="next"'
        there = [self._at(f"/order/{number}") for number in range(len(self.orders))][2 * page : 2 * page + 2]
        return there if self.lists_bare else {"orders": there}

    def _authorization(self, number: int, payload: Any, _headers: dict[str, str]) -> Any:
        assert payload is None
        name = self.names[number]
        shown: dict[str, Any] = {"identifier": name.value, "status": name.status}
        if name.is_wildcard:
            shown["wildcard"] = True
        shown["challenges"] = [self._challenge_shown(number, index) for index in range(len(name.challenges))]
        return shown

    def _challenge_shown(self, number: int, index: int) -> dict[str, Any]:
        one = self.names[number].challenges[index]
        url = self._at(f"/challenge/{number * 100 + index}")
        shown: dict[str, Any] = {"type": one.kind, "token": one.token, "status": one.status, "url": url}
        if one.kind == "carrier-pigeon-01":
            del shown["token"]
        return shown if one.error is None else {**shown, "error": one.error}

    def _challenge(self, number: int, payload: Any, headers: dict[str, str]) -> Any:
        name, index = self.names[number // 100], number % 100
        one = name.challenges[index]
        if payload != {}:  # a question: nothing is tried (RFC 8555 7.5.1)
            return self._challenge_shown(number // 100, index)
        thumbprint = self.accounts[name.account]["key"].thumbprint(hash_function=hashes.SHA256)
        authorization = f"{one.token}.{base64.urlsafe_b64encode(thumbprint).rstrip(b'=').decode()}"
        one.error = self.look(one.kind, name.value["value"], authorization)
        name.status = one.status = "valid" if one.error is None else "invalid"
        headers["Link"] = f'<{self._at(f"/authz/{number // 100}")}>;rel="up"'
        return self._challenge_shown(number // 100, index)

    # -- certificates

    def _revoke(self, payload: dict[str, Any]) -> Any:
        content = payload["certificate"]
        leaf = x509.load_der_x509_certificate(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
        if leaf.serial_number in dict(self.revoked):
            raise Refusal(400, "alreadyRevoked")
        self.revoked.append((leaf.serial_number, payload["reason"]))
        return {}

    def _finalize(self, number: int, payload: dict[str, str], _headers: dict[str, str]) -> Any:
        order = self.orders[number]
        if self._shown(number)["status"] != "ready":
            raise Refusal(403, "orderNotReady", order.status)
        csr = x509.load_der_x509_csr(base64.urlsafe_b64decode(payload["csr"] + "=" * (-len(payload["csr"]) % 4)))
        alternative = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        named = {str(one.value) for one in alternative}
        if not csr.is_signature_valid or named != {one["value"] for one in order.asked["identifiers"]}:
            raise Refusal(400, "badCSR", f"names {sorted(named)}")
        if order.error is None:
            order.chain = self._certified(csr, alternative)
        order.status = "processing" if order.error is None else "invalid"
        return self._shown(number)

    def _certified(self, csr: x509.CertificateSigningRequest, alternative: x509.SubjectAlternativeName) -> bytes:
        now = datetime.now(UTC)  # noqa: TID251 - a CA has a clock
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + self.lifetime)
            .add_extension(alternative, critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return b"between them\n".join(one.public_bytes(Encoding.PEM) for one in (leaf, self.root))

    def _renewal_info(self, identifier: str, headers: dict[str, str]) -> Any:
        if identifier in self.not_mine or self.window is None:
            raise Refusal(404, "malformed", "no certificate of mine")
        headers.update(self.ari_headers)
        start, end = (one.isoformat().replace("+00:00", "Z") for one in self.window)
        return {"suggestedWindow": {"start": start, "end": end}, "explanationURL": "https://ca.test/why"}


def _root(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ACME test root")])
    now = datetime.now(UTC)  # noqa: TID251 - OpenSSL compares with the clock
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 10 * DAY)
        .not_valid_after(now + 100 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


@contextmanager
def serving(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], directory: Path
) -> Iterator[tuple[str, Path]]:
    """Serve HTTPS on a thread of its own; answers the URL without path, and the root to trust."""
    authority = Authority(directory, "directory authority")
    context = authority.issue("directory").server_context()
    loop = asyncio.new_event_loop()
    ports: list[int] = []
    is_up = threading.Event()

    async def serve(stop: asyncio.Event) -> None:
        server = web.Server(answer, access_log=None)
        listening = await loop.create_server(server, "127.0.0.1", 0, ssl=context)
        ports.append(listening.sockets[0].getsockname()[1])
        is_up.set()
        await stop.wait()
        listening.close()
        for one in list(server.connections):
            if one.transport is not None:
                one.transport.abort()
        await server.shutdown(1.0)
        for _ in range(10):  # transports close in the turns after that
            await asyncio.sleep(0)

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(stop)))
    thread.start()
    try:
        assert is_up.wait(10)
        yield f"https://localhost:{ports[0]}", authority.path
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextmanager
def acme_directory(directory: Path, **settings: Any) -> Iterator[AcmeDirectory]:
    """Run a CA; `url` and `trust` are those of its directory."""
    made = AcmeDirectory(**settings)
    with serving(made.answer, directory) as (url, trust):
        made.url, made.trust = f"{url}/dir", trust
        yield made


def csr_for(*names: str, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    """A request for a certificate, DER."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    general: list[x509.GeneralName] = []
    for name in names:
        try:
            general.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            general.append(x509.DNSName(name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
