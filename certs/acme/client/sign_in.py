"""Begins a conversation with a CA as an account: the stored one, one that the CA has lost, or a new
one.

The key of a new account is stored before it is registered: after a crash in between, the account is
found by its key (RFC 8555 section 7.3.1), and no external account is wasted. When several orders
begin at the same time, one registers the account and the others use it.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from certs.acme.client.accounts import AccountStore, AcmeAccount
from certs.acme.client.session import Binding, Session, open_directory
from certs.acme.client.wire import Wire
from certs.acme.problems import AcmeProblem

# What a CA answers for an account that it does not know, or that was closed (RFC 8555 sections 6.7
# and 7.3.6). Some say "unauthorized" with status 403 instead of 401.
_UNKNOWN: Final = "accountDoesNotExist"
_CLOSED: Final = "unauthorized"
_registering: Final[defaultdict[str, threading.Lock]] = defaultdict(threading.Lock)
"""By directory; as many as are configured."""


class BindingMissing(Exception):
    """The CA takes accounts only that are bound to an external one."""

    def __str__(self) -> str:
        return "the CA takes only accounts that are bound to one that you have there: set eab_kid and eab_key_file"


@dataclass(frozen=True, slots=True)
class Membership:
    """Who we are to the CA of `directory` (a URL).

    `contact` are mail addresses; `binding` is read again for each registration.
    """

    directory: str
    contact: Sequence[str]
    binding: Callable[[], Binding | None] = field(repr=False)


class SignIn:
    """Gives sessions. Its methods raise what those of `Session` do, and `BindingMissing`,
    `AccountDamaged` or `OSError`.
    """

    def __init__(self, membership: Membership, store: AccountStore, tell: Callable[[str], None]) -> None:
        """`tell` takes a log line for each change of the account."""
        self._membership = membership
        self._store = store
        self._tell = tell

    def session(self, wire: Wire) -> Session:
        """Begin, with an account that is registered."""
        session = self.visit(wire)
        if session.account.url is None:
            with _registering[self._membership.directory]:
                session.account = self._stored()
                if session.account.url is None:
                    self._register(session)
        if session.account.is_known_outside or session.account.successor is not None:
            with _registering[self._membership.directory]:
                self._change_key(session)
        return session

    def _change_key(self, session: Session) -> None:
        """Take a new key for the account. It is stored before the CA knows it: after a crash in
        between, the CA says by which one it knows the account.
        """
        account = session.account = self._stored()
        if account.successor is None:
            if not account.is_known_outside:
                return  # another order did it meanwhile
            session.account = account.to_be_succeeded()
            self._store.save(account.directory, session.account.to_document())
        elif session.find():
            session.account = account.succeeded()
            self._store.save(account.directory, session.account.to_document())
            return
        try:
            session.change_key()
        except AcmeProblem as problem:
            if problem.type not in {_UNKNOWN, _CLOSED}:
                raise
            # who knew the key was faster
            session.account = AcmeAccount.fresh(account.directory)
            self._register(session)
            return
        session.account = session.account.succeeded()
        self._store.save(account.directory, session.account.to_document())
        self._tell(f"the account {account.url} has a new key")

    def visit(self, wire: Wire) -> Session:
        """Begin for what needs no account."""
        account = self._stored()
        return Session(wire, open_directory(wire, self._membership.directory), account)

    def _stored(self) -> AcmeAccount:
        url = self._membership.directory
        stored = self._store.load(url)
        return AcmeAccount.fresh(url) if stored is None else AcmeAccount.from_document(stored, url)

    def repair(self, session: Session, problem: AcmeProblem) -> None:
        """After a CA would not have the account: register it again, or a new one instead of one
        that was closed.

        Raises `problem` where it is about something else.
        """
        if problem.type not in {_UNKNOWN, _CLOSED}:
            raise problem
        with _registering[self._membership.directory]:
            stored = self._stored()
            if stored.url not in {None, session.account.url}:
                session.account = stored  # another order has registered meanwhile
            else:
                self._register_again(session, problem)

    def _register_again(self, session: Session, problem: AcmeProblem) -> None:
        lost = session.account.url
        try:
            self._register(session)
        except AcmeProblem as refusal:
            if refusal.type != _CLOSED:
                raise
            session.account = AcmeAccount.fresh(self._membership.directory)
            self._tell(f"the account {lost} was closed: a new one takes its place")
            self._register(session)
        else:
            if session.account.url == lost and problem.type == _CLOSED:
                raise problem  # the account is as good as ever: it is the order that is refused

    def _register(self, session: Session) -> None:
        binding = self._membership.binding()
        if binding is None and session.directory.needs_binding:
            raise BindingMissing
        self._store.save(session.account.directory, session.account.forgotten().to_document())
        account = session.register(self._membership.contact, binding)
        self._store.save(account.directory, account.to_document())
        self._tell(f"registered as {account.url}")
