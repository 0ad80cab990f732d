"""What the documents show is what the program takes, and they can be read: see tests/documents.py for how blocks are marked."""

import ast
import builtins
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup
from typer.exceptions import TyperException

from config.crosschecks.crosschecks import cross_check
from config.schema import Config
from proxy.commands.cli import app
from tests.document_links import ROOT, broken, documents
from tests.documents import Block, Document, Section, anchor, read
from tests.english import RIDDLES, WIDEST_PROSE, dialect

LONGEST_SECTION, LONGEST_README = 300, 1_200

ALL = documents()
# CHANGELOG.md tells what was, in the words of its time.
DOCUMENTS = [one for one in ALL if one.path.name != "CHANGELOG.md"]
NAMES = [str(one.path.relative_to(ROOT)) for one in DOCUMENTS]
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)


def blocks(*languages: str) -> pytest.MarkDecorator:
    """Each block in one of these languages, of all documents."""
    found = [(one, block) for one in DOCUMENTS for _, block in one.blocks if block.language in languages]
    return pytest.mark.parametrize(
        ("document", "block"), found, ids=[f"{one.path.name}:{block.line}" for one, block in found]
    )


# --- Configurations ----------------------------------------------------------------------------------------------


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the keys of another one added; arrays are replaced."""
    return old | {
        name: merged(old[name], value) if isinstance(value, dict) and isinstance(old.get(name), dict) else value
        for name, value in new.items()
    }


def configuration(document: Document, block: Block) -> dict[str, Any]:
    """What a block shows, with what it changes below it."""
    tables = tomllib.loads(block.text)
    way, colon, place = block.comment.partition(": ")
    if not colon:
        return tables
    name, _, heading = place.partition("#")
    other = read(document.path.parent / name) if name else document
    below = configuration(other, next(one for one in other.section(heading).blocks if one.language == "toml"))
    assert way in {"added to", "in place of"}, block.comment
    return merged(below, tables) if way == "added to" else below | tables


@blocks("toml")
def test_configuration_is_one_that_can_be_used(document: Document, block: Block) -> None:
    tables = configuration(document, block)
    if block.comment == "fragment":
        return
    config = Config.model_validate(tables)
    assert [problem for problem in cross_check(config, document.path.name) if problem.is_error] == []


# --- Commands ----------------------------------------------------------------------------------------------------


def command_lines(block: Block) -> list[str]:
    """The commands of a block: behind `$ ` or `# ` in a console, all lines of a script; continued lines in one."""
    lines = re.sub(r"\\\n *", " ", block.text).splitlines()
    if block.language == "console":
        return [line[2:] for line in lines if line.startswith(("$ ", "# "))]
    return lines


def simple_commands(line: str) -> list[list[str]]:
    """The words of each simple command of a line of shell, without what it is redirected to."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found, is_target = [list[str]()], False
    for word in lexer:
        if set(word) <= set("<>"):
            is_target = True
        elif set(word) <= set("();|&"):
            found.append([])
        elif is_target:
            is_target = False
        else:
            found[-1].append(word)
    return [words for words in found if words]


@cache
def program() -> TyperGroup:
    """The command line of the program."""
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    return command


def of_plexigate(words: list[str]) -> list[str] | None:
    """The words behind `plexigate` where it is the program that is called, also by another one (sudo, setpriv)."""
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    commands = set(program().commands)
    for index, word in enumerate(words):
        if word.rpartition("/")[2] == "plexigate" and (index == 0 or set(words[index + 1 : index + 2]) & commands):
            return words[index + 1 :]
    return None


def parse(words: list[str]) -> None:
    """Have the command line parse what stands behind `plexigate`. Raises TyperException, KeyError."""
    command: Any = program()
    words = list(words)
    while isinstance(command, TyperGroup) and (words or not command.invoke_without_command):
        if words and words[0] in {"--help", "--version"}:
            return
        if (default := getattr(command, "default_command", None)) and words[:1] and words[0] not in command.commands:
            words = [default, *words]
        command = command.commands[words.pop(0)]
    if "--help" not in words:
        command.make_context(command.name, words)


@blocks("console", "sh")
def test_commands_are_those_of_the_program(document: Document, block: Block) -> None:
    script = (ROOT / "dev").read_text(encoding="utf-8")
    for line in command_lines(block):
        for words in simple_commands(line):
            called = of_plexigate(words)
            if called is not None:
                parse(called)
            if words[0] == "./dev":
                assert f"\n    {words[1]}) dev_" in script, f"{document.path.name}: {line}"


def drained(document: Document) -> list[tuple[str, str]]:
    """Upstream and server of each `plexigate drain` and `undrain`."""
    lines = [line for _, block in document.blocks if block.language == "console" for line in command_lines(block)]
    calls = [of_plexigate(words) for line in lines for words in simple_commands(line)]
    return [(call[1], call[2]) for call in calls if call is not None and call[0] in {"drain", "undrain"}]


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if drained(one)], ids=lambda one: one.path.name)
def test_server_that_is_drained_is_one_of_the_configuration_above(document: Document) -> None:
    upstreams = next(configuration(document, block) for _, block in document.blocks if block.language == "toml")[
        "upstream"
    ]
    assert [one for one in drained(document) if one[1] not in upstreams[one[0]]["servers"]] == []


@pytest.mark.parametrize(
    ("document", "file"), [("audit.md", "journal.txt"), ("hsm.md", "chat-mldsa.pem"), ("hsm.md", "mldsa.csr")]
)
def test_file_that_is_used_was_made_before(document: str, file: str) -> None:
    consoles = [block.text for _, block in read(ROOT / "docs" / document).blocks if block.language == "console"]
    first = next(text for text in consoles if file in text)
    assert re.search(rf"(?:> |cp \S+ ){re.escape(file)}", first)


@EACH
def test_options_in_sentences_are_those_of_the_program(document: Document) -> None:
    """Commands in `code`, which may leave out what the sentence is not about."""
    text = "\n".join(line for section in document.sections for _, line in section.prose)
    for span in re.findall(r"`plexigate ([^`]+)`", text):
        command: Any = program()
        for word in span.split():
            if isinstance(command, TyperGroup) and not word.startswith("-"):
                command = command.commands[word.rstrip(".,")]
            elif word.startswith("--"):
                assert word.partition("=")[0] in {name for one in command.params for name in one.opts}, span


@blocks("console", "sh")
def test_files_of_the_repository_that_are_named_are_there(document: Document, block: Block) -> None:
    named = re.findall(r"(?<![\w/.-])(?:docker|config)/[\w./-]*\w", block.text)
    assert [one for one in named if not (ROOT / one).exists()] == [], document.path.name


@EACH
def test_files_in_sentences_and_tables_are_there(document: Document) -> None:
    text = document.path.read_text(encoding="utf-8")
    named = re.findall(r"`((?:proxy|certs|config|tests|docker|docs)/[\w./-]*)`", text)
    assert [one for one in named if not (ROOT / one).exists()] == []


@pytest.mark.parametrize(
    "contract",
    [
        "the floors of proxy",
        "the floors of certs",
        "the rooms of downstream",
        "the rooms of upstream",
        "the rooms of http2",
    ],
)
def test_floors_are_those_that_are_checked(contract: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(one["layers"] for one in contracts if one["name"] == contract)
    (block,) = read(ROOT / "ARCHITECTURE.md").section(contract.replace(" ", "-")).blocks
    assert [re.split(r" {2,}", line)[0] for line in block.text.splitlines()] == layers


@blocks("python")
def test_python_has_all_its_names(document: Document, block: Block) -> None:
    tree = ast.parse(block.text)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    imported = {one.asname or one.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for one in node.names}  # fmt: skip
    known = imported | {one.id for one in names if isinstance(one.ctx, ast.Store)} | set(dir(builtins))
    assert {one.id for one in names if isinstance(one.ctx, ast.Load)} <= known, document.path.name


# --- Reading -----------------------------------------------------------------------------------------------------


@EACH
def test_no_section_is_long_without_a_heading(document: Document) -> None:
    assert {one.title: one.words for one in document.sections if one.words > LONGEST_SECTION} == {}


@EACH
def test_prose_is_no_wider_than_a_reader_likes(document: Document) -> None:
    """A line that is one long link may be wider."""
    prose = [line for section in document.sections for line in section.prose]
    assert [number for number, text in prose if len(text) > WIDEST_PROSE and " " in text.strip()] == []


@EACH
def test_prose_says_who_is_meant(document: Document) -> None:
    prose = [line for section in document.sections for line in section.prose]
    assert [f"{number}: {text}" for number, text in prose if RIDDLES.search(text)] == []


@EACH
def test_prose_has_the_words_of_the_field(document: Document) -> None:
    text = "\n".join(text for section in document.sections for _, text in section.prose)
    assert list(dialect(text)) == []


@EACH
def test_headings_have_anchors_of_their_own(document: Document) -> None:
    anchors = [one.anchor for one in document.sections]
    assert sorted(set(anchors)) == sorted(anchors)


def test_readme_is_short() -> None:
    readme = next(one for one in ALL if one.path.name == "README.md")
    assert readme.words <= LONGEST_README


def test_figures_of_the_first_page_are_those_that_were_measured() -> None:
    """A row of README.md beside the rows that `./dev bench` gave."""
    said = re.search(r"^\| CPU for a request .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    measured = re.search(
        r"^\| GET: 2 fields and the answer new.*µs.*$",
        (ROOT / "docs/performance.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert said is not None
    assert measured is not None
    nginx, haproxy, ours = (round(float(one)) for one in re.findall(r"\| ([\d.]+) µs", measured[0]))
    assert re.findall(r"(\d+) µs", said[0]) == [str(ours), str(nginx), str(haproxy)]


def test_the_site_has_every_document() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- [^:\n]+: (\S+\.md)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("first", ["README.md", "docs/index.md"])
def test_first_pages_lead_to_every_document(first: str) -> None:
    linked = {(ROOT / first).parent.joinpath(target).resolve() for _, target in read(ROOT / first).links}
    assert {path for path in (ROOT / "docs").glob("*.md") if path.name != "index.md"} <= linked


# --- Links -------------------------------------------------------------------------------------------------------


def test_links_lead_somewhere() -> None:
    assert broken(ALL) == []


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("What rests on disk", "what-rests-on-disk"),
        ("Key exchange: `pq` and `level`", "key-exchange-pq-and-level"),
        ("A & B", "a--b"),
    ],
)
def test_anchor_is_the_one_that_code_hosts_make(heading: str, expected: str) -> None:
    assert anchor(heading) == expected


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("missing.md", "no such file"),
        ("other.md#nowhere", "no such heading"),
        ("#nowhere", "no such heading"),
        ("../LICENSE", "the site has nothing outside of docs/: name the file without a link"),
        ("picture.svg#part", "an anchor in what is no document"),
    ],
)
def test_link_that_leads_nowhere_is_found(tmp_path: Path, link: str, fault: str) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "LICENSE").touch()
    (docs / "picture.svg").touch()
    (docs / "other.md").write_text("# Other\n\n## Here\n")
    (docs / "one.md").write_text(
        f"# One\n\n[good](other.md#here), [here](#one), ![picture](picture.svg), [far](https://example.org/#x)\n\n[bad]({link})\n"
        "\n`[code](nowhere.md)`\n\n```sh\n[code](nowhere.md)\n```\n"
    )
    assert broken(documents(tmp_path), tmp_path) == [f"docs/one.md:5: {link}: {fault}"]


# --- How documents are read --------------------------------------------------------------------------------------

TEXT = """# Title

Some words.

| a | table |

<!-- in place of: #title -->

```toml
a = 1
```

## Next

- item

  ```console
  $ plexigate run plexigate.toml --log-format pretty | tail &
  output $ plexigate no-command
  # setpriv --reuid=plexigate \\
      /opt/plexigate/venv/bin/plexigate check plexigate.toml > plexigate    # comment
  ```
"""


def test_document_is_read_into_sections_and_blocks(tmp_path: Path) -> None:
    path = tmp_path / "one.md"
    path.write_text(TEXT)
    document = read(path)
    assert [(one.title, one.words) for one in document.sections] == [("", 0), ("Title", 2), ("Next", 2)]
    (first, toml), (second, console) = document.blocks
    assert (first.title, toml.text, toml.comment) == ("Title", "a = 1\n", "in place of: #title")
    assert (second.title, console.language, console.comment) == ("Next", "console", "")
    assert [of_plexigate(words) for line in command_lines(console) for words in simple_commands(line)] == [
        ["run", "plexigate.toml", "--log-format", "pretty"],
        None,
        ["check", "plexigate.toml"],
    ]
    assert document.words == 7


@pytest.mark.parametrize("words", [["check", "--yaml", "x.toml"], ["rotate"], ["certs", "rotat"], ["drain", "chat"]])
def test_command_that_the_program_has_not_is_found(words: list[str]) -> None:
    with pytest.raises((TyperException, KeyError)):
        parse(words)


def test_part_of_a_configuration_is_put_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "base.md").write_text("# Base\n\n```toml\n[a.b]\nx = 1\n[a.c]\ny = 2\n```\n")
    (tmp_path / "more.md").write_text(
        "# Added\n\n<!-- added to: base.md#base -->\n```toml\n[a.b]\nz = 3\n```\n"
        "# Replaced\n\n<!-- in place of: #added -->\n```toml\n[a.d]\nz = 3\n```\n"
    )
    more = read(tmp_path / "more.md")
    assert [configuration(more, block) for _, block in more.blocks] == [
        {"a": {"b": {"x": 1, "z": 3}, "c": {"y": 2}}},
        {"a": {"d": {"z": 3}}},
    ]


def test_section_with_an_unknown_anchor_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("# One\n")
    with pytest.raises(KeyError, match=r"one\.md has no heading #two"):
        read(tmp_path / "one.md").section("two")
    assert Section("Two words", 1).anchor == "two-words"
