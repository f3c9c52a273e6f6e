"""A cloud worker that lives as long as the process that started it: `ianvs cloud`, until its standard input ends."""

from __future__ import annotations

import os
import signal
import sys
from threading import Thread

from ianvs_collab.cloud.command import main


def end_with_input() -> None:
    """Stop this process when its standard input ends, which it does when the parent closes it or dies."""
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=end_with_input, daemon=True).start()
    sys.exit(main(sys.argv[1:]))
