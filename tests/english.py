"""The rules of prose that a program can check, for documents and for the sources."""

import re

RIDDLES = re.compile(
    r"(?:(?<![\"'`])|(?<=\"\"\"))\b(whoever|whatever|nobody|somebody|no one|manieth)\b(?![\"'`])", re.IGNORECASE
)
"""Words that leave open who or what is meant. In quotes they are names, such as the user "nobody"."""
NEGATION = re.compile(r"\s*(No|Nobody|Nothing|Not|Never|None|Without)\b")
"""The beginning of a docstring that says what something is not."""
WIDEST_PROSE = 100
"""Columns."""
