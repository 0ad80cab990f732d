"""The shape of error pages."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from config.routes.error_pages import ErrorPages, page_files

PAGES: TypeAdapter[Any] = TypeAdapter(ErrorPages)


@pytest.mark.parametrize("status", ["400", "502", "599", "4xx", "5xx"])
def test_a_status_or_a_class_names_a_page(status: str) -> None:
    assert PAGES.validate_python({status: "down.html"}) == {status: "down.html"}


@pytest.mark.parametrize("status", ["200", "301", "3xx", "6xx", "5XX", "50", "5000", "", "all", "-502", "٥٠٢"])
def test_other_keys_are_refused(status: str) -> None:
    with pytest.raises(ValidationError, match="a status such as 502"):
        PAGES.validate_python({status: "down.html"})


def test_a_status_may_have_a_page_for_people_and_one_for_programs() -> None:
    pages = PAGES.validate_python({"502": ["down.html", "down.json"], "503": "a.htm"})
    assert list(page_files(pages)) == [(("502", 0), "down.html"), (("502", 1), "down.json"), (("503",), "a.htm")]


@pytest.mark.parametrize("files", [[], ["a.html", "b.html"], ["a.html", "b.htm"], ["a.json", "b.json"]])
def test_a_list_has_one_file_of_each_kind(files: list[str]) -> None:
    with pytest.raises(ValidationError, match=r"one \.html and one \.json file"):
        PAGES.validate_python({"502": files})


@pytest.mark.parametrize("file", ["down", "down.txt", "", 7, None, ["down.php"], [7]])
def test_the_ending_says_who_gets_it(file: object) -> None:
    with pytest.raises(ValidationError, match="the ending says who gets it"):
        PAGES.validate_python({"502": file})


def test_a_path_has_no_control_characters() -> None:
    with pytest.raises(ValidationError, match="the path of a file"):
        PAGES.validate_python({"502": "a\n.html"})
