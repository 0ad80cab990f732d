"""A text that must not be seen: the PIN of a token."""

from typing import Final, NoReturn

_SHOWN: Final = "Secret(hidden)"


class Secret:
    """Holds a text and shows it to nobody who does not `reveal` it: no repr, no format, no comparison, no pickle."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Hide `text`."""
        self._text = text

    def reveal(self) -> str:
        """The text, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        """Say that there is something, not what."""
        return _SHOWN

    def __eq__(self, other: object) -> NoReturn:
        """Refuse: assertions and logs would print what differs."""
        raise TypeError("a secret is not compared")

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        """Refuse: a pickle is a copy that nobody looks after."""
        raise TypeError("a secret is not pickled")
