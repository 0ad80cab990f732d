"""What every log event is: a name, a level, typed fields, its JSON, and its sentence for people.
Pure.

An event is a frozen dataclass. Its fields are the fields of its JSON, in this order. The docstring
of the class says when the event is written; its second paragraph says what the operator does about
it. `docs/events.md` is made from both.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar


class Level(StrEnum):
    """What an event asks of the operator."""

    INFORMATION = "information"
    """Do nothing: something happened as intended."""
    WARNING = "warning"
    """Check it during the day: the proxy serves, but something is wrong."""
    ACTION = "needs action"
    """Act soon: clients are refused, or will be, or evidence is lost."""


@dataclass(frozen=True, slots=True)
class Event(ABC):
    """One thing that happened to the process."""

    event: ClassVar[str]
    """The name of the event in JSON. Operators search for it: it never changes."""
    level: ClassVar[Level]

    def as_json(self) -> dict[str, Any]:
        """The name and the fields. A field whose default is None is left out while it is None."""
        facts = {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None or field.default is not None
        }
        return {"event": self.event, **facts}

    @abstractmethod
    def sentence(self) -> str: ...

    def lines(self) -> list[str]:
        """What a terminal shows: the sentence, unless an event needs several lines."""
        return [self.sentence()]


Tell = Callable[[Event], None]
"""Logs an event."""
