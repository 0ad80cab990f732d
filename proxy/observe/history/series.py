"""A table of samples that forgets the oldest: a column of numbers for each series. Pure.

Its memory is bounded: eight bytes for each sample and series, and the number of series is limited.
"""

from array import array
from collections.abc import Iterator, Mapping
from math import isnan, nan
from typing import Any, Final

from proxy.api.overview import Samples

# Of a usual configuration there are some 40.
MOST_SERIES: Final = 128
_DIGITS: Final = 4


class Series:
    """Keeps the last `length` samples, which are `seconds` apart."""

    def __init__(self, seconds: float, length: int) -> None:
        self.seconds: Final = seconds
        self.length: Final = length
        self._times = array("d", [nan]) * length
        self._columns: dict[str, array[float]] = {}
        self._taken = 0

    def clear(self) -> None:
        self._times = array("d", [nan]) * self.length
        self._columns.clear()
        self._taken = 0

    def add(self, at: float, sample: Mapping[str, float]) -> None:
        """Add a sample, taken at that time in UNIX seconds."""
        place = self._taken % self.length
        self._taken += 1
        self._times[place] = at
        for name in sample.keys() - self._columns.keys():
            if len(self._columns) < MOST_SERIES:
                self._columns[name] = array("d", [nan]) * self.length
        for name, column in self._columns.items():
            column[place] = _short(sample[name]) if name in sample else nan

    def since(self, at: float) -> Samples:
        """The samples after that time, as columns: `at`, and `series` by name.

        A number that a sample does not have is None.
        """
        places = [place for place in self._places() if self._times[place] > at]
        series = {name: [_shown(column[place]) for place in places] for name, column in sorted(self._columns.items())}
        return {
            "seconds": self.seconds,
            "length": self.length,
            "at": [round(self._times[place], 1) for place in places],
            "series": {name: values for name, values in series.items() if any(one is not None for one in values)},
        }

    def take_over(self, document: Mapping[str, Any]) -> None:
        """Begin with the samples that `since` of another table has returned."""
        for index, at in enumerate(document["at"]):
            found = {name: values[index] for name, values in document["series"].items()}
            self.add(float(at), {name: float(value) for name, value in found.items() if value is not None})

    def _places(self) -> Iterator[int]:
        """From the oldest sample to the newest."""
        for number in range(max(0, self._taken - self.length), self._taken):
            yield number % self.length


def _short(value: float) -> float:
    """What a plot can show. So the documents stay small."""
    return float(f"{value:.{_DIGITS}g}")


def _shown(value: float) -> float | None:
    return None if isnan(value) else value
