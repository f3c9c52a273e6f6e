"""The peak is this process's own, and grows with it."""

from __future__ import annotations

import subprocess
import sys

from ianvs_collab.modelserver.memory import peak_rss_bytes

CHILD = """
from ianvs_collab.modelserver.memory import peak_rss_bytes
before = peak_rss_bytes()
held = bytearray(b"x") * 200_000_000
del held
print(before, peak_rss_bytes())
"""


def test_the_peak_grows_and_stays() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after - before > 190_000_000


def test_it_is_not_the_peak_of_whoever_started_the_process() -> None:
    """A child begins as a copy of this process, which is far larger than a bare interpreter."""
    held = bytearray(b"x") * 300_000_000
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[0]) < len(held) < peak_rss_bytes()
