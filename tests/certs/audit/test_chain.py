"""How lines follow each other."""

from certs.audit.chain import Head, genesis, names_torn
from certs.audit.line import NO_HASH, LineKind
from tests.certs.audit.logs import LOG, NOW

FIRST = genesis(LOG, NOW)
HEAD = Head(LOG, 0, NO_HASH).moved(FIRST)


def test_a_log_begins_with_its_id_after_nothing() -> None:
    assert (FIRST.kind, FIRST.seq, FIRST.prev, FIRST.facts) == (LineKind.GENESIS, 1, NO_HASH, {"log": LOG})
    assert Head(LOG, 1, FIRST.hash) == HEAD


def test_a_line_follows_the_end() -> None:
    line = HEAD.line(LineKind.OPERATION, {"key": "chat"}, NOW)
    assert (line.seq, line.prev, line.facts) == (2, FIRST.hash, {"key": "chat"})
    assert HEAD.moved(line) == Head(LOG, 2, line.hash)


def test_a_new_file_names_the_end_of_the_one_before() -> None:
    line = HEAD.continued(NOW)
    assert (line.kind, line.seq, line.prev, line.facts) == (LineKind.CONTINUED, 2, FIRST.hash, {"log": LOG})


def test_what_a_crash_left_is_named_by_the_line_after_it() -> None:
    for line in (HEAD.after_torn(b'{"ha', NOW), HEAD.continued(NOW, b'{"ha'), genesis(LOG, NOW, b'{"ha')):
        assert names_torn(line, b'{"ha')
        assert names_torn(line, b'{"ha\n')
        assert not names_torn(line, b'{"hb')
    assert HEAD.after_torn(b"x", NOW).kind is LineKind.TORN
    assert not names_torn(HEAD.continued(NOW), b"x")
