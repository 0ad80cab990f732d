"""From a CSR to a chain at a CA that checks every signature; and what each thing that goes wrong becomes."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certs.acme.client.session import Binding
from certs.acme.issuer import AcmeIssuer, AcmeSettings, Surroundings
from certs.acme.renewal_info import certificate_id
from certs.issuing.issuer import FailureKind, Issued, IssueFailed, IssueRequest, NotShared, Revoker
from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from config.tables.issuers import AcmeChallenge
from tests.acme_directory import EAB_KEY, ERROR, NOW, Refusal, csr_for
from tests.certs.acme.scene import PATIENCE, Scene

NAMES = ("chat.example.org", "files.example.org")
REQUEST = IssueRequest(NAMES, csr_for(*NAMES))


def leaf_of(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificates(issued.chain_pem)[0]


def refused(ours: Scene, request: IssueRequest = REQUEST) -> IssueFailed:
    with pytest.raises(IssueFailed) as caught:
        ours.issuer().issue(request)
    assert str(caught.value).startswith("ca: ")
    return caught.value


@pytest.mark.parametrize("kind", AcmeChallenge)
def test_certificate_for_our_key_is_issued_once_all_names_are_proved(ours: Scene, kind: AcmeChallenge) -> None:
    ours.kind = kind
    key = ec.generate_private_key(ec.SECP384R1())
    issued = ours.issuer().issue(IssueRequest(NAMES, csr_for(*NAMES, key=key)))
    leaf = leaf_of(issued)
    assert leaf.public_key() == key.public_key()
    leaf.verify_directly_issued_by(ours.ca.root)
    assert b"between" not in issued.chain_pem
    assert issued.chain_pem.count(b"BEGIN CERTIFICATE") == 2
    assert ours.solver.log == [
        ("present", "chat.example.org"),
        ("present", "files.example.org"),
        ("withdraw", "files.example.org"),
        ("withdraw", "chat.example.org"),
    ]
    assert ours.told[-1] == "ca: issued for chat.example.org, files.example.org"
    assert {agent.partition("/")[0] for agent in ours.ca.agents} == {"plexigate"}


def test_proofs_are_shown_in_the_order_of_their_names_whatever_that_of_the_request(ours: Scene) -> None:
    names = ("b.test", "a.test", "192.0.2.1")
    ours.issuer().issue(IssueRequest(names, csr_for(*names)))
    assert [name for action, name in ours.solver.log if action == "present"] == ["192.0.2.1", "a.test", "b.test"]


def test_a_name_and_its_wildcard_are_both_proved_by_dns(ours: Scene) -> None:
    ours.kind = AcmeChallenge.DNS_01
    names = ("*.example.org", "example.org")
    leaf_of(ours.issuer().issue(IssueRequest(names, csr_for(*names))))
    assert [one for one in ours.solver.log if one[0] == "present"] == [("present", "example.org")] * 2


def test_a_wildcard_is_refused_with_what_the_ca_offers_instead(ours: Scene) -> None:
    names = ("*.example.org",)
    failure = refused(ours, IssueRequest(names, csr_for(*names)))
    assert failure.kind is FailureKind.PERMANENT
    assert "the CA does not offer tls-alpn-01 for example.org; it offers dns-01" in failure.detail


def test_names_that_the_ca_knows_already_are_not_proved_again(ours: Scene) -> None:
    issuer = ours.issuer()
    original = ours.ca._new_order

    def preauthorized(*arguments: object) -> object:
        original(*arguments)  # type: ignore[arg-type]
        for name in ours.ca.names:
            name.status = "valid"
        return ours.ca._shown(len(ours.ca.orders) - 1)

    ours.ca._new_order = preauthorized  # type: ignore[method-assign,assignment]
    leaf_of(issuer.issue(REQUEST))
    assert ours.solver.log == []


# -- accounts


def test_account_is_made_once_and_found_again_after_a_restart(ours: Scene) -> None:
    ours.issuer().issue(REQUEST)
    ours.issuer().issue(REQUEST)
    (account,) = ours.ca.accounts.values()
    assert account["contact"] == ["mailto:ops@example.org"]
    assert ours.ca.requests.count("/account") == 1


def test_account_that_the_ca_lost_is_registered_again_by_its_key(ours: Scene) -> None:
    ours.issuer().issue(REQUEST)
    (before,) = ours.ca.accounts.values()
    ours.ca.accounts.clear()
    ours.issuer().issue(REQUEST)
    (after,) = ours.ca.accounts.values()
    assert after["key"] == before["key"]


def test_account_that_was_closed_is_replaced_by_a_new_one(ours: Scene) -> None:
    ours.issuer().issue(REQUEST)
    (before,) = ours.ca.accounts.values()
    before["status"] = "deactivated"
    ours.issuer().issue(REQUEST)
    after = list(ours.ca.accounts.values())[-1]
    assert after["key"] != before["key"]
    assert any("was closed: a new one takes its place" in line for line in ours.told)
    ours.issuer().issue(REQUEST)
    assert len(ours.ca.accounts) == 2


def test_order_that_a_good_account_is_refused_is_not_tried_with_another_account(ours: Scene) -> None:
    ours.issuer().issue(REQUEST)
    ours.ca.refusals["/order"] = [Refusal(403, "unauthorized", "not for you")]
    failure = refused(ours)
    assert "unauthorized (not for you)" in failure.detail
    assert len(ours.ca.accounts) == 1


def test_account_is_bound_where_the_ca_wants_it(ours: Scene) -> None:
    ours.ca.binding_keys = {"kid-1": EAB_KEY}
    missing = refused(ours)
    assert (missing.kind, "eab_kid" in missing.detail) == (FailureKind.PERMANENT, True)
    ours.binding = Binding("kid-1", base := EAB_KEY[:-2] + "AA")
    wrong = refused(ours)
    assert "unauthorized (binding of another key)" in wrong.detail
    assert base not in wrong.detail
    ours.binding = Binding("kid-1", "!")
    assert refused(ours).kind is FailureKind.PERMANENT
    ours.binding = Binding("kid-1", EAB_KEY)
    leaf_of(ours.issuer().issue(REQUEST))


def test_stored_account_that_is_damaged_is_not_replaced_silently(ours: Scene) -> None:
    ours.store.save(ours.ca.url, b"{}")
    failure = refused(ours)
    assert (failure.kind, "damaged" in failure.detail) == (FailureKind.PERMANENT, True)
    assert ours.ca.requests == []


# -- what a CA says no to


def test_rejected_nonces_are_tried_again(ours: Scene) -> None:
    ours.ca.nonces_to_reject = 9
    leaf_of(ours.issuer().issue(REQUEST))


def test_nonces_that_are_never_good_end_in_a_failure(ours: Scene) -> None:
    ours.ca.nonces_to_reject = 1_000
    assert "badNonce" in refused(ours).detail
    assert ours.ca.nonces_to_reject == 1_000 - 11


def test_rate_limit_is_kept_without_asking_and_for_these_names_only(ours: Scene) -> None:
    ours.ca.refusals["/order"] = [Refusal(429, "rateLimited", "too many certificates", {"Retry-After": "600"})]
    issuer = ours.issuer()
    with pytest.raises(IssueFailed) as first:
        issuer.issue(REQUEST)
    assert (first.value.kind, first.value.retry_after) == (FailureKind.RATE_LIMITED, 600.0)
    assert first.value.detail == "ca: chat.example.org, files.example.org: rateLimited (too many certificates)"
    asked = len(ours.ca.requests)
    ours.time.passed += 599
    with pytest.raises(IssueFailed) as second:
        ours.issuer().issue(REQUEST)  # a reload makes another one
    assert (second.value.kind, second.value.retry_after, len(ours.ca.requests)) == (
        FailureKind.RATE_LIMITED,
        1.0,
        asked,
    )
    leaf_of(issuer.issue(IssueRequest(NAMES[:1], csr_for(*NAMES[:1]))))
    ours.time.passed += 1
    leaf_of(issuer.issue(REQUEST))


def test_retry_after_may_be_a_date(ours: Scene) -> None:
    later = f"{NOW + timedelta(minutes=5):%a, %d %b %Y %H:%M:%S} GMT"
    ours.ca.refusals["/order"] = [Refusal(503, "serverInternal", "busy", {"Retry-After": later})]
    failure = refused(ours)
    assert (failure.kind, failure.retry_after) == (FailureKind.TEMPORARY, 300.0)


def test_problem_with_one_name_of_several_is_told_by_name(ours: Scene) -> None:
    refusal = Refusal(403, "compound", "some are refused")
    refusal.document["subproblems"] = [
        {"type": f"{ERROR}rejectedIdentifier", "detail": "on a list", "identifier": {"type": "dns", "value": NAMES[1]}}
    ]
    ours.ca.refusals["/order"] = [refusal]
    failure = refused(ours)
    assert failure.kind is FailureKind.PERMANENT
    assert "rejectedIdentifier for files.example.org (on a list)" in failure.detail


def test_wrong_answer_names_ca_challenge_name_and_type_and_leaves_nothing_behind(ours: Scene) -> None:
    ours.ca.look = lambda _kind, name, _authorization: (
        {"type": f"{ERROR}incorrectResponse", "detail": "saw \x1b[31m nothing"} if name == NAMES[1] else None
    )
    failure = refused(ours)
    expected = "ca: tls-alpn-01 for files.example.org: incorrectResponse (saw  [31m nothing)"
    assert (failure.kind, failure.detail) == (FailureKind.TEMPORARY, expected)
    assert [action for action, _ in ours.solver.log] == ["present", "present", "withdraw", "withdraw"]


def test_order_that_ends_in_an_error_of_the_ca_says_which(ours: Scene) -> None:
    original = ours.ca._finalize

    def finalize(number: int, payload: dict[str, str], headers: dict[str, str]) -> object:
        ours.ca.orders[number].error = {"type": f"{ERROR}caa", "detail": "forbidden by CAA"}
        return original(number, payload, headers)

    ours.ca._finalize = finalize  # type: ignore[method-assign,assignment]
    assert refused(ours).detail == "ca: caa (forbidden by CAA)"


def test_csr_for_other_names_is_a_permanent_failure(ours: Scene) -> None:
    failure = refused(ours, IssueRequest(NAMES, csr_for("other.test")))
    assert (failure.kind, "badCSR" in failure.detail) == (FailureKind.PERMANENT, True)


# -- time


def test_ca_is_asked_again_when_it_says_and_not_for_ever(ours: Scene) -> None:
    ours.ca.looks_before_issued, ours.ca.retry_after = 2, "7"
    leaf_of(ours.issuer().issue(REQUEST))
    assert ours.time.waits.count(7.0) == 2
    ours.ca.looks_before_issued, ours.ca.retry_after = 1_000, "20"
    failure = refused(ours)
    assert (failure.kind, failure.detail.rpartition(": ")[2]) == (
        FailureKind.TEMPORARY,
        "the issuance took longer than 60 s",
    )


def test_ca_that_never_looks_is_given_up(ours: Scene) -> None:
    ours.ca._challenge = lambda number, _payload, _headers: ours.ca._challenge_shown(number // 100, number % 100)  # type: ignore[method-assign,assignment]
    assert refused(ours).detail.endswith("the validation of chat.example.org took longer than 60 s")


def test_ca_that_is_not_there_is_a_temporary_failure(ours: Scene) -> None:
    ours.ca.url = "https://localhost:1/dir"
    failure = refused(ours)
    assert failure.kind is FailureKind.TEMPORARY
    assert "localhost:1 gave no answer that can be used" in failure.detail


def test_ca_whose_own_certificate_is_not_trusted_is_told_nothing(ours: Scene) -> None:
    ours.ca.trust = Path("/etc/ssl/certs/ca-certificates.crt")
    failure = refused(ours)
    assert "certificate verify failed" in failure.detail
    assert ours.ca.requests == []


# -- solvers


def test_proof_that_cannot_be_shown_ends_the_attempt_and_takes_the_others_back(ours: Scene) -> None:
    ours.solver.fails_for = {NAMES[1]}
    failure = refused(ours)
    assert (failure.kind, "nobody is there" in failure.detail) == (FailureKind.TEMPORARY, True)
    assert ours.solver.log == [("present", NAMES[0]), ("withdraw", NAMES[0])]


def test_proof_that_cannot_be_taken_back_is_told_and_harms_nothing(ours: Scene) -> None:
    ours.solver.keeps = {NAMES[0]}
    leaf_of(ours.issuer().issue(REQUEST))
    assert f"ca: tls-alpn-01 for {NAMES[0]} could not be withdrawn: it stays" in ours.told


# -- profiles and renewal information


def test_profile_is_asked_for_and_an_unknown_one_refused_with_those_that_there_are(ours: Scene) -> None:
    ours.profile = "shortlived"
    failure = refused(ours)
    assert (failure.kind, "no profile shortlived; its profiles: none" in failure.detail) == (
        FailureKind.PERMANENT,
        True,
    )
    ours.ca.profiles = {"classic": "90 days", "shortlived": "6 days"}
    ours.issuer().issue(REQUEST)
    assert ours.ca.orders[-1].asked["profile"] == "shortlived"
    ours.issuer().issue(replace(REQUEST, profile="classic"))
    assert ours.ca.orders[-1].asked["profile"] == "classic"
    ours.profile = "tlsserver"
    assert "its profiles: classic, shortlived" in refused(ours).detail
    ours.profile = None
    ours.issuer().issue(REQUEST)
    assert "profile" not in ours.ca.orders[-1].asked


def test_order_names_the_certificate_that_it_replaces(ours: Scene) -> None:
    ours.ca.window = (NOW, NOW + timedelta(days=1))
    before = leaf_of(ours.issuer().issue(REQUEST))
    renewal = replace(REQUEST, replaces=before.public_bytes(Encoding.DER))
    ours.issuer().issue(renewal)
    assert ours.ca.orders[-1].asked["replaces"] == certificate_id(before)
    # a second time (RFC 9773 5): the CA refuses the predecessor, not the certificate
    ours.issuer().issue(renewal)
    assert "replaces" not in ours.ca.orders[-1].asked
    identifier = certificate_id(before)
    assert identifier is not None
    ours.ca.not_mine = {identifier}
    ours.issuer().issue(renewal)
    assert "replaces" not in ours.ca.orders[-1].asked


def test_a_ca_without_renewal_information_is_not_told_what_is_replaced(ours: Scene) -> None:
    before = leaf_of(ours.issuer().issue(REQUEST))
    ours.issuer().issue(replace(REQUEST, replaces=before.public_bytes(Encoding.DER)))
    assert "replaces" not in ours.ca.orders[-1].asked
    assert ours.issuer().renewal_window(before) is None


def test_window_comes_with_the_time_to_ask_again(ours: Scene) -> None:
    start, end = NOW + timedelta(days=3), NOW + timedelta(days=4)
    ours.ca.window = (start, end)
    leaf = leaf_of(ours.issuer().issue(REQUEST))
    ours.ca.ari_headers = {"Retry-After": "21600"}
    accounts = ours.ca.requests.count("/account")
    window = ours.issuer().renewal_window(leaf)
    assert window is not None
    assert (window.start, window.end) == (start, end)
    # an hour or so has passed while it was issued, by the clock of the test
    assert window.ask_again == ours.time.now() + timedelta(hours=6)
    assert ours.ca.requests.count("/account") == accounts
    ours.ca.window = (end, start)
    with pytest.raises(IssueFailed, match="without a usable window") as caught:
        ours.issuer().renewal_window(leaf)
    assert caught.value.kind is FailureKind.TEMPORARY


def test_window_of_an_expired_or_foreign_certificate_is_not_known(ours: Scene) -> None:
    ours.ca.window = (NOW, NOW + timedelta(days=1))
    leaf = leaf_of(ours.issuer().issue(REQUEST))
    identifier = certificate_id(leaf)
    assert identifier is not None
    ours.ca.not_mine = {identifier}
    assert ours.issuer().renewal_window(leaf) is None
    asked = len(ours.ca.requests)
    ours.time.passed = (leaf.not_valid_after_utc - NOW).total_seconds()
    assert ours.issuer().renewal_window(leaf) is None
    assert len(ours.ca.requests) == asked
    assert certificate_id(ours.ca.root) is None
    assert ours.issuer().renewal_window(ours.ca.root) is None


def test_trouble_with_renewal_information_is_told_by_kind(ours: Scene) -> None:
    ours.ca.window = (NOW, NOW + timedelta(days=1))
    leaf = leaf_of(ours.issuer().issue(REQUEST))
    ours.ca.refusals["/dir"] = [Refusal(500, "serverInternal", "down")]
    with pytest.raises(IssueFailed, match=r"ca: renewal information: serverInternal \(down\)"):
        ours.issuer().renewal_window(leaf)


def test_compromised_key_is_told_to_the_ca(ours: Scene) -> None:
    leaf = leaf_of(ours.issuer().issue(REQUEST))
    issuer = ours.issuer()
    assert isinstance(issuer, Revoker)
    for _ in range(2):  # revoked already is revoked
        issuer.revoke(leaf)
    assert ours.ca.revoked == [(leaf.serial_number, 1)]
    ours.ca.refusals["/revoke"] = [Refusal(403, "unauthorized", "not yours")]
    with pytest.raises(IssueFailed, match=r"ca: revocation: unauthorized \(not yours\)"):
        issuer.revoke(leaf)
    ours.ca._directory = lambda: dict.fromkeys(("newNonce", "newAccount", "newOrder"), f"{ours.ca.url}/x")  # type: ignore[method-assign]
    with pytest.raises(IssueFailed, match="not a valid ACME directory with a place for revocations"):
        issuer.revoke(leaf)


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_nothing_is_ordered_that_could_not_be_held_against_a_root(
    ours: Scene, tmp_path: Path, content: bytes | None
) -> None:
    roots = tmp_path / "root.pem"
    if content is not None:
        roots.write_bytes(content)
    settings = AcmeSettings(ours.membership, ours.kind, None, ours.ca.trust, roots)
    around = Surroundings(ours.store, ours.solver, ours.told.append, clocks=ours.time.clocks, patience=ours.patience)
    with pytest.raises(IssueFailed, match="root_file") as caught:
        AcmeIssuer("ca", settings, around).issue(REQUEST)
    assert caught.value.kind is FailureKind.PERMANENT
    assert ours.ca.orders == []


def test_no_ca_signs_mldsa_or_ed25519(ours: Scene) -> None:
    signed = {family for family in KeyFamily if ours.issuer().signs(KeyAlgorithm(family))}
    assert signed == {KeyFamily.ECDSA, KeyFamily.RSA}
    assert ours.issuer().roots == ()
    assert ours.issuer("letsencrypt").name == "letsencrypt"


def test_answers_that_make_no_sense_are_temporary_failures(ours: Scene) -> None:
    ours.ca._certified = lambda _csr, _alternative: b"no chain"  # type: ignore[method-assign,assignment]
    assert refused(ours).detail.endswith("an answer that is not a valid chain of certificates in PEM")
    ours.ca._shown = lambda _number: {"status": "pending"}  # type: ignore[method-assign,assignment]
    assert refused(ours).detail.endswith("an answer that is not a valid order")
    ours.ca._directory = lambda: {"newNonce": 7}  # type: ignore[method-assign]
    failure = refused(ours)
    assert failure.detail.endswith("an answer that is not a valid ACME directory")
    assert failure.kind is FailureKind.TEMPORARY
    assert PATIENCE.call > 0


@dataclass
class Memory:
    """An `OrderMemory`; `ends` is called when an address was kept, as when the process ends."""

    kept: dict[str, str] = field(default_factory=dict)
    ends: bool = False
    may_be_lost: bool = False
    others: tuple[str, ...] = ()

    def known(self, directory: str) -> str | None:
        return self.kept.get(directory)

    def keep(self, directory: str, address: str) -> None:
        self.kept[directory] = address
        if self.ends:
            raise NotShared("the process has ended")

    def is_of_another_key(self, address: str) -> bool:
        return address in self.others


def test_an_order_is_kept_before_it_is_used_and_another_process_goes_on_with_it(ours: Scene) -> None:
    memory = Memory(ends=True)
    request = replace(REQUEST, order=memory)
    with pytest.raises(NotShared):
        ours.issuer().issue(request)
    assert not [path for path in ours.ca.requests if path.startswith("/authz")]
    memory.ends = False
    ours.issuer("next").issue(request)
    assert len(ours.ca.orders) == 1
    assert f"next: going on with the order {memory.kept[ours.ca.url]}" in ours.told
    ours.issuer().issue(request)
    assert len(ours.ca.orders) == 1, "its certificate is fetched again"
    # of another CA
    other = Memory({"https://other.test": memory.kept[ours.ca.url]})
    ours.issuer().issue(replace(request, order=other))
    assert len(ours.ca.orders) == 2


@pytest.mark.parametrize("failure", ["invalid", "malformed", "unauthorized", "gone"])
def test_an_order_that_leads_to_nothing_is_placed_anew(ours: Scene, failure: str) -> None:
    memory = Memory()
    request = replace(REQUEST, order=memory)
    ours.issuer().issue(request)
    if failure == "invalid":
        ours.ca.orders[0].status = "invalid"
    else:
        ours.ca.refusals["/order/0"] = [Refusal(404 if failure == "gone" else 403, failure)]
    ours.issuer().issue(request)
    assert len(ours.ca.orders) == 2
    assert memory.kept[ours.ca.url].endswith("/order/1")


def test_a_ca_that_cannot_say_how_an_order_stands_is_asked_again_later(ours: Scene) -> None:
    memory = Memory()
    ours.issuer().issue(replace(REQUEST, order=memory))
    ours.ca.refusals["/order/0"] = [Refusal(500, "serverInternal")]
    assert refused(ours, replace(REQUEST, order=memory)).kind is FailureKind.TEMPORARY
    assert len(ours.ca.orders) == 1


@pytest.mark.parametrize("kind", ["object", "array"])
def test_an_order_whose_address_was_lost_is_found_where_the_ca_lists_its_orders(ours: Scene, kind: str) -> None:
    ours.ca.lists_orders = True
    ours.ca.lists_bare = kind == "array"
    ours.ca.profiles = {"short": "", "long": ""}
    ours.profile = "short"
    ours.issuer().issue(REQUEST)  # has its certificate
    for request in (replace(REQUEST, names=NAMES[:1]), replace(REQUEST, profile="long"), REQUEST, REQUEST):
        with pytest.raises(NotShared):
            ours.issuer().issue(replace(request, order=Memory(ends=True)))
    # the last of five, on the third page: the one before is that of another key
    memory = Memory(may_be_lost=True, others=(ours.ca.url.replace("/dir", "/order/3"),))
    ours.issuer().issue(replace(REQUEST, order=memory))
    assert memory.kept[ours.ca.url].endswith("/order/4")
    assert len(ours.ca.orders) == 5
    assert [one.status for one in ours.ca.orders] == ["valid", "pending", "pending", "pending", "valid"]
    # the next key is new: nothing of it was lost, and nobody looks
    listed = ours.ca.requests.count("/orders/0")
    ours.issuer().issue(replace(REQUEST, order=Memory()))
    assert (ours.ca.requests.count("/orders/0"), len(ours.ca.orders)) == (listed, 6)


def test_so_many_listed_orders_are_looked_at_and_no_more(ours: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certs.acme.issuer._MOST_ORDERS", 3)
    ours.ca.lists_orders = True
    for _ in range(5):
        with pytest.raises(NotShared):
            ours.issuer().issue(replace(REQUEST, order=Memory(ends=True)))
    for order in ours.ca.orders[:4]:
        order.status = "invalid"  # they lead to nothing, and each is a request all the same
    ours.issuer().issue(replace(REQUEST, order=Memory(may_be_lost=True)))
    assert [ours.ca.requests.count(f"/order/{number}") for number in range(5)] == [1, 1, 1, 0, 0]
    assert len(ours.ca.orders) == 6


@pytest.mark.parametrize("listing", [None, "malformed", "no list", "no order of these names"])
def test_an_order_that_no_ca_finds_again_is_placed_once_more_and_told(ours: Scene, listing: str | None) -> None:
    ours.ca.lists_orders = listing is not None
    with pytest.raises(NotShared):
        ours.issuer().issue(replace(REQUEST, order=Memory(ends=True)))
    if listing == "malformed":
        ours.ca.refusals["/orders/0"] = [Refusal(400, "malformed")]
    elif listing == "no list":
        ours.ca._listed = lambda *_: {"orders": 7}  # type: ignore[method-assign]
    elif listing is not None:
        ours.ca.orders[0].asked["identifiers"] = [{"type": "dns", "value": "other.test"}]
    memory = Memory(may_be_lost=True)
    ours.issuer().issue(replace(REQUEST, order=memory))
    assert memory.kept[ours.ca.url].endswith("/order/1")
    assert (
        "ca: a node ended while it placed an order, and the CA does not list it: this one may be the second"
        in ours.told
    )
