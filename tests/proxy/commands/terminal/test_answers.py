"""One answer for programs and for people."""

import json

import pytest

from proxy.commands.terminal.answers import FILE_COLUMNS, answer
from proxy.commands.terminal.tables import plain_table


def test_a_program_gets_the_document_and_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    def drawn() -> str:
        raise AssertionError

    answer({"ring": "chat"}, drawn, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"ring": "chat"}


def test_an_operator_gets_a_sentence_as_it_is_or_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = f"[bold]{'a' * FILE_COLUMNS} long"
    answer({}, lambda: sentence, as_json=False)
    assert capsys.readouterr().out == f"{sentence}\n"
    table = plain_table("name")
    table.add_row("b" * (FILE_COLUMNS - 10))
    answer({}, lambda: table, as_json=False)
    assert capsys.readouterr().out == f"name\n{'b' * (FILE_COLUMNS - 10)}\n"
