"""The shape of `error_pages`: files for the errors that the proxy answers itself. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, PlainValidator

from config.values.addresses import Refused
from config.values.kinds import PathRole, parse_path_of_file
from config.values.problems import Location, shown

HTML_ENDINGS = (".html", ".htm")
JSON_ENDINGS = (".json",)

_STATUS = re.compile(r"[45](?:[0-9]{2}|xx)")


def _parse_status(value: str) -> str:
    if not _STATUS.fullmatch(value):
        raise Refused(
            'a status such as 502, or "4xx" or "5xx" for all that have no page of their own', found=shown(value)
        )
    return value


def _parse_files(value: object) -> str | tuple[str, ...]:
    files = [_parse_file(file) for file in value] if isinstance(value, list | tuple) else [_parse_file(value)]
    kinds = {file.endswith(JSON_ENDINGS) for file in files}
    if not files or len(kinds) < len(files):
        raise Refused("one file, or a list of one .html and one .json file", found=shown(value))
    return files[0] if isinstance(value, str) else tuple(files)


def _parse_file(value: object) -> str:
    if not isinstance(value, str) or not value.endswith(HTML_ENDINGS + JSON_ENDINGS):
        raise Refused("the path of a file that ends in .html, .htm or .json: the ending says who gets it")
    return parse_path_of_file(value)


PageFiles = Annotated[str | tuple[str, ...], PlainValidator(_parse_files), PathRole.READ]
ErrorPages = dict[Annotated[str, AfterValidator(_parse_status)], PageFiles]


def page_files(pages: Mapping[str, str | tuple[str, ...]]) -> Iterator[tuple[Location, str]]:
    """Each file with its location: its status, and its index where a list stands."""
    for status, files in pages.items():
        if isinstance(files, str):
            yield (status,), files
        else:
            yield from (((status, index), file) for index, file in enumerate(files))
