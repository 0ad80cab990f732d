"""A configuration that fits together, and what the rules that span tables say of one."""

import tomllib

from config.crosschecks.crosschecks import cross_check
from config.schema import Config
from config.values.omissions import Omissions

GOOD = """
[listener.public]
bind = "127.0.0.1:8443"
[identity.chat]
names = ["chat.example.org", "*.chat.example.org"]
certificate = "chat.pem"
key = "chat.key"
[upstream.chat]
servers = ["http://127.0.0.1:8000"]
[[route]]
host = "chat.example.org"
upstream = "chat"
"""


def check(text: str, *omitted: tuple[str | int, ...]) -> list[str]:
    """The problems of a configuration; `omitted` are places in it that were refused before."""
    config = Config.model_validate(tomllib.loads(text))
    return [str(problem) for problem in cross_check(config, "f", Omissions(frozenset(omitted)))]
