"""Leads one order from names and a CSR to a chain (RFC 8555 section 7.4)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from certs.acme.challenges.challenges import NotOffered, proof_of
from certs.acme.challenges.proofs import PresentingFailed, Proof, Solver
from certs.acme.client.session import AcmeOrder, Authorization, Session
from certs.acme.problems import AcmeProblem
from certs.acme.timeouts import AcmeClocks, AcmeTimeouts
from config.tables.issuers import AcmeChallenge


class NameRefused(Exception):
    """A CA that looked did not find what proves that `name` is ours; `problem` is what it met, as
    far as it says.
    """

    def __init__(self, kind: AcmeChallenge, name: str, status: str, problem: AcmeProblem | None) -> None:
        super().__init__(kind, name, status)
        self.kind = kind
        self.name = name
        self.status = status
        self.problem = problem

    def __str__(self) -> str:
        why = f"the authorization is {self.status}" if self.problem is None else str(self.problem)
        return f"{self.kind} for {self.name}: {why}"


class OrderFailed(Exception):
    """A CA gave up an order whose names were proven; `problem` is its reason, if it gives one."""

    def __init__(self, status: str, problem: AcmeProblem | None) -> None:
        super().__init__(status)
        self.status = status
        self.problem = problem

    def __str__(self) -> str:
        return f"the order is {self.status}" if self.problem is None else str(self.problem)


class OrderOverdue(Exception):
    """A CA did not finish `what` within `seconds`."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(what, seconds)
        self.what = what
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.what} took longer than {self.seconds:g} s"


class Ordering:
    """Leads orders through one session.

    Raises what `Session` does, `NotOffered`, `PresentingFailed` and the errors above.
    """

    def __init__(
        self,
        session: Session,
        solver: Solver,
        kind: AcmeChallenge,
        clocks: AcmeClocks,
        patience: AcmeTimeouts,
        tell: Callable[[str], None],
    ) -> None:
        """`kind` is how names are proved; `tell` takes a line for each step."""
        self._session = session
        self._solver = solver
        self._kind = kind
        self._clocks = clocks
        self._patience = patience
        self._tell = tell

    def fulfil(self, order: AcmeOrder, csr_der: bytes) -> bytes:
        """Prove the names of an order, and have it filled; answers the chain in PEM."""
        authorizations = [self._session.authorization(url) for url in order.body.authorizations]
        if order.is_taken_up:
            self._clean_up([one for one in authorizations if one.status == "valid"])
        self._prove(authorizations)
        return self._collect(order, csr_der)

    # -- names

    def _prove(self, authorizations: Sequence[Authorization]) -> None:
        pending = [self._usable(one) for one in authorizations if one.status != "valid"]
        # always in the same order: of two orders at a time, each would wait for what the other
        # shows
        pending.sort(key=lambda one: one.name)
        proofs = [self._proof(one) for one in pending]
        with self._shown(proofs):
            for one, proof in zip(pending, proofs, strict=True):
                self._accept(one, proof)
            ends = self._clocks.monotonic() + self._patience.validation
            for one in pending:
                self._until_valid(one, ends)

    def _clean_up(self, proven: Sequence[Authorization]) -> None:
        """Take back what an ended process has shown: for tls-alpn-01 it would be in the way of the
        next order for the name.
        """
        for one in proven:
            with suppress(NotOffered, PresentingFailed):  # it was proven in another way, or is no more there
                self._solver.withdraw(self._proof(one))

    def _accept(self, authorization: Authorization, proof: Proof) -> None:
        """Tell the CA to look, unless a process that has ended did: some CAs refuse to hear it
        twice.
        """
        try:
            self._session.accept(proof)
        except AcmeProblem:
            now = self._session.authorization(authorization.url)
            if now.status == "pending" and not now.is_looked_at:
                raise

    def _proof(self, authorization: Authorization) -> Proof:
        thumbprint = self._session.account.key.thumbprint
        return proof_of(authorization.name, tuple(authorization.body.challenges), self._kind, thumbprint)

    def _usable(self, authorization: Authorization) -> Authorization:
        if authorization.status != "pending":
            raise self._refusal(authorization)
        return authorization

    def _until_valid(self, authorization: Authorization, ends: float) -> None:
        one = authorization
        while one.status == "pending":
            self._pause(f"the validation of {one.name}", one.retry_after, ends, self._patience.validation)
            one = self._session.authorization(one.url)
        if one.status != "valid":
            raise self._refusal(one)
        self._tell(f"{one.name} is proven")

    def _refusal(self, authorization: Authorization) -> NameRefused:
        return NameRefused(self._kind, authorization.name, authorization.status, authorization.problem)

    @contextmanager
    def _shown(self, proofs: Sequence[Proof]) -> Iterator[None]:
        """Show proofs while the block runs.

        A proof that cannot be withdrawn is logged; it is harmless, its token is used.
        """
        shown: list[Proof] = []
        try:
            for proof in proofs:
                self._solver.present(proof)
                shown.append(proof)
                self._tell(f"{proof.kind} for {proof.name} is shown")
            yield
        finally:
            for proof in reversed(shown):
                try:
                    self._solver.withdraw(proof)
                except PresentingFailed as error:
                    self._tell(f"{proof.kind} for {proof.name} could not be withdrawn: {error}")

    # -- the certificate

    def _collect(self, order: AcmeOrder, csr_der: bytes) -> bytes:
        ends = self._clocks.monotonic() + self._patience.issuance
        order = self._session.look(order)  # its status after the validation of its names
        is_handed_in = False
        while True:
            match order.status:
                case "valid":
                    return self._session.chain(order)
                case "ready" if not is_handed_in:
                    order, is_handed_in = self._session.finalize(order, csr_der), True
                    self._tell("the certificate request is submitted")
                case "pending" | "ready" | "processing":
                    self._pause("the issuance", order.retry_after, ends, self._patience.issuance)
                    order = self._session.look(order)
                case _:
                    raise OrderFailed(order.status, order.problem)

    def _pause(self, what: str, asked_for: float | None, ends: float, seconds: float) -> None:
        left = ends - self._clocks.monotonic()
        if left <= 0:
            raise OrderOverdue(what, seconds)
        self._clocks.wait(self._patience.pause(asked_for, left))
