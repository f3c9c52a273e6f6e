from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .ends import Cloud


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A listening socket to relay to."""
    with ExitStack() as stack:
        yield Cloud(stack)
