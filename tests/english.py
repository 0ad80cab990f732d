"""The rules of prose that a program can check, for documents and for the sources."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

RIDDLES = re.compile(
    r"(?:(?<![\"'`])|(?<=\"\"\"))\b(whoever|whatever|nobody|somebody|no one|manieth)\b(?![\"'`])", re.IGNORECASE
)
"""Words that leave open who or what is meant. In quotes they are names, such as the user "nobody"."""
NEGATION = re.compile(r"\s*(No|Nobody|Nothing|Not|Never|None|Without)\b")
"""The beginning of a docstring that says what something is not."""
WIDEST_PROSE = 100
"""Columns."""

DIALECT: Final[Mapping[str, str]] = {
    r"(wants?|needs?) a person|a person (has to act|is needed|is told)": "operator action required",
    r"(for|by|of|asks?|tells?) a person": "operator",
    r"told of|tells? of": "reported to, reports",
    r"seen through": "observable",
    r"no longer welcome": "not allowed any more",
    r"(an? )?(errors?|mistakes?|faults?) of ours": "internal error",
    r"so many": "N, or up to N seconds",
    r"comes? to (this|it|them) next": "queued",
    r"left alone": "not used; rate-limited",
    r"under way": "in flight (requests, handshakes), in progress (an upgrade)",
    r"again and again": "repeatedly",
    r"at this moment": "now",
    r"(is|are|was|were) away": "unavailable; down (the proxy)",
    r"in the wrong hands": "compromised",
    r"all the same": "anyway",
    r"outliv(e|es|ed|ing)": "survive",
    r"former": "previous; deprecated (a key of the configuration)",
    r"(?<!begun\x20)anew": "again",
    r"rotates? by (itself|themselves)": "automatically",
    r"rests? on disk|rests? sealed": "is stored",
    r"strangers?": "untrusted client",
    r"web address": "webhook",
    r"(and|or) (its|their) kin": "and similar ones",
    r"mend(s|ed|ing)?": "fix",
    r"heed(s|ed|ing)?": "respect",
    r"(breaks?|broke|broken) off": "aborts, ends early",
    r"(held|holds?) up": "delayed, stalled",
    r"(in|with a) doubt": "degraded",
    r"(is|was) not looked at": "not checked",
    r"ended the talk": "closed the connection",
}
"""Words of our own that are not to come back, with what an operator of nginx, Envoy or Kubernetes says."""
_DIALECT: Final = re.compile(
    "|".join(rf"(\b(?:{re.sub(r'[(](?![?])', '(?:', words)})\b)" for words in DIALECT).replace(
        " ", r"(?:\s+(?:#\s+)?)"
    ),
    re.IGNORECASE,
)
_NO_PROSE: Final = re.compile(r"`[^`\n]*`|^former = .*|^### .*", re.MULTILINE)
"""Code, and keys of the configuration."""


def dialect(text: str) -> Iterator[str]:
    """The words of `DIALECT` in a text, each with what to write."""
    for found in _DIALECT.finditer(_NO_PROSE.sub("", text)):
        place = next(number for number, group in enumerate(found.groups()) if group is not None)
        yield f'"{" ".join(found[0].split())}": write {list(DIALECT.values())[place]}'
