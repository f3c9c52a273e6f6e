"""Energy of this machine's processors from RAPL, where Linux lets it be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_ROOT = Path("/sys/class/powercap")
_PACKAGES = "intel-rapl:[0-9]*"


class Rapl:
    """Counters of all processor packages (Linux powercap; AMD's have the same names).

    They count whatever the machine does, neighbours and idling included.

    Args:
        packages: Folders with `energy_uj` and `max_energy_range_uj`.
    """

    def __init__(self, packages: list[Path]) -> None:
        self._packages = packages
        self._ranges = [_number(package / "max_energy_range_uj") for package in packages]

    @classmethod
    def find(cls, root: Path = _ROOT) -> Rapl | None:
        """The counters of this machine, or None if it has none or they may not be read."""
        packages = [one for one in sorted(root.glob(_PACKAGES)) if one.name.count(":") == 1]
        try:
            found = cls(packages)
            found._read()
        except (OSError, ValueError):
            return None
        return found if packages else None

    def start(self) -> Callable[[], float]:
        """Begin to measure; the function that is returned tells the joules since then.

        Counters wrap around; a span in which one does so twice (minutes) is not for them.
        """
        before = self._read()

        def joules() -> float:
            spans = zip(before, self._read(), self._ranges, strict=True)
            return sum((after - start) % (wrap + 1) for start, after, wrap in spans) / 1e6

        return joules

    def _read(self) -> list[int]:
        return [_number(package / "energy_uj") for package in self._packages]


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))
