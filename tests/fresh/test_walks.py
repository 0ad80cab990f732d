"""What is read from the documents for `./dev fresh`."""

from pathlib import Path

import pytest

from tests.fresh.__main__ import commands_of_readme, getting_started
from tests.fresh.walks import Command, File, Packages, walks

DOCUMENT = """\
# Start

Install `apt-get install curl` first.

```console
$ make this \\
    and that
made 3 things in 1.5 s
$ cd there
```

## Save

```toml
[a.b]
c = 1

[d]
e = 2
```

## Change

<!-- added to: #save -->
```toml
[a.b]
c = 9
```

```sh
./dev run
```
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "document.md"
    path.write_text(DOCUMENT)
    return path


def test_steps_are_those_of_the_document_in_its_order(document: Path) -> None:
    first, second, third = walks(document)
    packages, command, move = first.steps
    assert packages == Packages("apt-get install curl")
    assert isinstance(command, Command)
    assert (command.text, command.printed) == ("make this \\\n    and that", ("made 3 things in 1.5 s",))
    assert isinstance(move, Command)
    assert move.is_environment
    (saved,) = second.steps
    added, demo = third.steps
    assert isinstance(saved, File)
    assert isinstance(added, File)
    assert added.over(saved.over("")) == "[a.b]\nc = 9\n\n[d]\ne = 2\n\n"
    assert isinstance(demo, Command)
    assert demo.is_foreground


@pytest.mark.parametrize(
    ("shown", "output", "missing"),
    [
        (("up 3 s", "...", "end"), "up 12.5 s\nmore\nthe end\n", None),
        (("a  b",), "x a b y", None),
        (("first", "second"), "second\nfirst\n", "second"),
        (('{"n": 1, ...}',), '{"n": 20, "m": 3}', None),
        (("X25519MLKEM768",), "X25519", "X25519MLKEM768"),
    ],
)
def test_lines_that_a_document_shows_are_looked_for(shown: tuple[str, ...], output: str, missing: str | None) -> None:
    assert Command("x", 1, shown).missing_in(output) == missing


def test_command_that_is_shown_to_fail_is_expected_to_fail() -> None:
    assert Command("curl x", 1, ("curl: (35) ...",)).status == 35
    assert Command("curl x", 1, ("ok",)).status == 0


def test_command_behind_a_check_serves_too() -> None:
    assert Command("plexigate check a && plexigate run a", 1).is_foreground
    assert not Command("plexigate status", 1).is_foreground


def test_commands_of_the_readme_are_followed() -> None:
    first, second, own = commands_of_readme()
    assert (first.text, second.text) == ("./dev run", "./dev test")
    assert first.is_foreground
    assert own.is_foreground
    texts = [step.text for walk in getting_started() for step in walk.steps]
    assert first.text in texts
    assert any(text.startswith("plexigate run") for text in texts)
    assert any("pip install" in text for text in texts)
