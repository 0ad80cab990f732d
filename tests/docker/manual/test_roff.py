"""The language of manual pages."""

from docker.building.manual import roff


def test_nothing_in_a_text_is_a_command() -> None:
    assert roff.escaped(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert roff.escaped("'a' \\fB \"b\" `c` x^2 ~") == "\\(aqa\\(aq \\efB \\(dqb\\(dq \\(gac\\(ga x\\(ha2 \\(ti"


def test_hyphens_can_be_copied() -> None:
    assert roff.bold("--dry-run") == "\\fB\\-\\-dry\\-run\\fR"
    assert roff.italic("FILE") == "\\fIFILE\\fR"


def test_each_sentence_begins_a_line_and_none_is_wide() -> None:
    lines = roff.running("It is short. Now " + "word " * 30 + "and the end. 5 is not a beginning.")
    assert lines[0] == "It is short."
    assert lines[-1].endswith("the end. 5 is not a beginning.")
    assert max(map(len, lines)) <= 78


def test_line_that_is_broken_before_a_dot_is_no_command() -> None:
    lines = roff.running("a" * 76 + " .json is a file")
    assert lines[1].startswith("\\&.json")


def test_paragraph_after_a_heading_is_left_out() -> None:
    assert roff.page([roff.heading("A"), *roff.paragraphs(["one", "two"])]) == '.SH "A"\none\n.PP\ntwo\n'
    assert roff.page([roff.subheading("b-c"), *roff.literal(["x = 1"])]) == '.SS "b\\-c"\n.nf\n.RS 4\nx = 1\n.RE\n.fi\n'


def test_item_has_a_term_and_paragraphs() -> None:
    assert roff.item("term", ["one", "two"]) == [".TP", "term", "one", ".IP", "two"]


def test_title_has_name_section_date_and_source() -> None:
    assert roff.title("a", 1, "2026-11-28", "A 1", "A") == '.TH A 1 "2026-11-28" "A 1" "A"'
