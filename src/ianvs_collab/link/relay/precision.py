"""Waking up on time.

asyncio's default selector on Linux, epoll, waits in whole milliseconds, rounded up; `select` takes microseconds. The
system adds a timer slack of 50 microseconds to every sleep of an ordinary process, which a process may lower for
itself. With real-time priority (root only) the relay also runs at once when it is due, beside busy processes.
"""

from __future__ import annotations

import asyncio
import os
import selectors
from contextlib import suppress
from pathlib import Path

TIMER_SLACK = Path("/proc/self/timerslack_ns")


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers are good to the microsecond; it takes file descriptors below 1024 only."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def lower_timer_slack() -> None:
    """Let sleeps of this process end as close to their time as the system's timers can, where it allows that."""
    with suppress(OSError):
        TIMER_SLACK.write_text("1", encoding="ascii")


def raise_priority() -> bool:
    """Ask for real-time priority; returns whether it was given."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (OSError, AttributeError):  # no right to it, or a system without such calls
        return False
    return True
