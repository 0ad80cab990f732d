"""The shape of `[[route]]`. Pure."""

import re
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from config.routes.auth import AdminPageConfig, AuthConfig, BasicAuthConfig
from config.routes.conditions import ANY_VALUE, HeaderConditions, Methods, QueryConditions
from config.routes.error_pages import ErrorPages
from config.routes.fields import RequestFieldsConfig, ResponseFieldsConfig, plain_name
from config.routes.paths import Prefix, RewriteConfig
from config.routes.replies import RedirectConfig, RespondConfig
from config.tables.client_certificates import ClientCertificateMode
from config.tables.limits import RateConfig
from config.tables.listener import PqPolicy
from config.tables.payload import Origin, PayloadMode
from config.values.addresses import Refused
from config.values.kinds import Network, ServerName, Table

# What RFC 3986 3.3 allows in a segment, without "%" and ";": every reader of a path must find the
# same prefix in it.
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,=:@/-]*")


_ANSWERS = ("upstream", "respond", "redirect", "admin_page")


def _parse_route_path(value: str) -> str:
    if not _PATH.fullmatch(value):
        raise Refused('a path that starts with "/", in ASCII, without "%", ";", query or fragment')
    if {".", ".."} & set(value.split("/")) or "//" in value:
        raise Refused('a path without empty, "." and ".." segments')
    return value


def _parse_route_pq(value: PqPolicy | None) -> PqPolicy | None:
    if value not in {None, PqPolicy.REQUIRE}:
        raise Refused('"require", or no such key: a route can only be stricter than its listener')
    return value


def _parse_client_certificate(value: ClientCertificateMode | None) -> ClientCertificateMode | None:
    if value not in {None, ClientCertificateMode.REQUIRE}:
        raise Refused('"require", or no such key: a route can only be stricter than its identity')
    return value


class RouteConfig(Table):
    """`[[route]]`: what happens to requests for a host (exact, or `*.suffix`) and a path prefix.

    `methods`, `headers` and `query` are conditions beside host and path, of which all must hold. A
    name of `headers` is in lower case.

    An `upstream` answers, or the proxy itself by `respond`, `redirect` or `admin_page`.
    `error_pages` replace those of the whole file, status by status.

    `stream_requests`: whether requests without a length, or that wait for 100, are handed on before
    their body came. `payload`: whether bodies are encrypted between the client's code and the
    proxy, with a ring, by sessions, or either. `payload_origins`: pages of which origins may read
    what the proxy itself answers there. `auth` and `basic_auth`: who may use the route. `hsts` says
    whether `security_headers` has Strict-Transport-Security; None leaves it to the certificate.
    """

    identified_by: ClassVar[tuple[str, ...]] = ("host", "path", "methods", "headers", "query")

    host: ServerName
    path: Annotated[str, AfterValidator(_parse_route_path)] = "/"
    methods: Methods | None = None
    headers: HeaderConditions | None = None
    query: QueryConditions | None = None
    upstream: str | None = None
    respond: RespondConfig | None = None
    redirect: RedirectConfig | None = None
    admin_page: AdminPageConfig | None = None
    pq: Annotated[PqPolicy | None, AfterValidator(_parse_route_pq)] = None
    client_certificate: Annotated[ClientCertificateMode | None, AfterValidator(_parse_client_certificate)] = None
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    request_headers: RequestFieldsConfig | None = None
    response_headers: ResponseFieldsConfig | None = None
    security_headers: bool = Field(default=False, strict=True)
    hsts: bool | None = Field(default=None, strict=True)
    strip_prefix: Prefix | None = None
    add_prefix: Prefix | None = None
    rewrite: RewriteConfig | None = None
    body_bytes: int | None = Field(default=None, ge=0, le=1_099_511_627_776, strict=True)
    rate: RateConfig | None = None
    stream_requests: bool = Field(default=False, strict=True)
    payload: PayloadMode = PayloadMode.OFF
    payload_ring: str | None = None
    payload_sessions: bool = Field(default=False, strict=True)
    payload_websocket: bool = Field(default=False, strict=True)
    payload_origins: tuple[Origin, ...] = ()
    auth: AuthConfig | None = None
    basic_auth: BasicAuthConfig | None = None
    error_pages: ErrorPages = Field(default_factory=dict)

    @property
    def conditions(self) -> str:
        """Those beside host and path, as they stand behind them in the log; empty without any."""
        parts = [",".join(self.methods)] if self.methods else []
        parts += [f"{name}={value}" for name, value in (self.headers or {}).items()]
        parts += [f"?{name}={value}" for name, value in (self.query or {}).items()]
        return "".join(f" {part}" for part in parts)

    @property
    def specificity(self) -> tuple[int, int]:
        """The number of its conditions, and how many of them are about a value: more wins."""
        wanted = [*(self.headers or {}).values(), *(self.query or {}).values()]
        return bool(self.methods) + len(wanted), sum(value != ANY_VALUE for value in wanted)

    @property
    def entry_name(self) -> str:
        """What the route is called, also in the log and in figures."""
        return f"{self.host}{self.path}{self.conditions}"

    @model_validator(mode="after")
    def _has_one_answer(self) -> Self:
        answers = [key for key in _ANSWERS if getattr(self, key) is not None]
        if len(answers) != 1:
            found = " and ".join(answers) or "none of them"
            raise Refused("one of upstream, respond, redirect and admin_page", found=found, about=_ANSWERS)
        if self.auth is not None and self.basic_auth is not None:
            raise Refused("one of the two", found="auth and basic_auth", about=("auth", "basic_auth"))
        self._check_copied()
        self._check_paths()
        return self

    def _check_copied(self) -> None:
        """Refuse to change a field by which the application learns who the client is."""
        if self.auth is None or self.request_headers is None:
            return
        copied = {plain_name(name) for name in self.auth.copy}
        edits = self.request_headers
        for name in (*edits.set, *edits.add, *edits.remove):
            if plain_name(name) in copied:
                allowed = "other fields: this one comes from the authorization server (auth.copy)"
                raise Refused(allowed, found=f"{name} in request_headers", about=("request_headers",))

    def _check_paths(self) -> None:
        """Refuse changes that contradict the path of the route, or each other."""
        used = [key for key in ("strip_prefix", "add_prefix", "rewrite") if getattr(self, key) is not None]
        if used and self.upstream is None:
            raise Refused("no such key: the proxy itself answers", found=used[0], about=(used[0],))
        if self.rewrite is not None:
            if len(used) > 1:
                raise Refused("rewrite alone", found=f"rewrite and {used[0]}", about=("rewrite", used[0]))
            if not _is_below(_start(self.rewrite.path), self.path):
                found = f'rewrite.path = "{self.rewrite.path}"'
                raise Refused(
                    f'a form that begins with the path of the route, "{self.path}"',
                    found=found,
                    about=("rewrite", "path"),
                )
        if self.strip_prefix is not None and not _is_below(self.path, self.strip_prefix):
            found = f'strip_prefix = "{self.strip_prefix}"'
            raise Refused(
                f'the path of the route, "{self.path}", or its beginning', found=found, about=("strip_prefix", "path")
            )


def _start(form: str) -> str:
    """The segments of a form before its first named part."""
    return form.partition("/{")[0] + "/" if "{" in form else form


def _is_below(path: str, prefix: str) -> bool:
    return f"{path}/".startswith(prefix if prefix.endswith("/") else f"{prefix}/")
