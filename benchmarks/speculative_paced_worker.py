"""A cloud worker whose model is as fast as a table says: `ianvs cloud` with the back-end `paced`, for the benchmarks.

Options are those of `ianvs cloud`; the table (`Costs`) is given by `--option costs=FILE`, as JSON. The worker ends with
its standard input.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from ianvs_collab.modelserver import load_model
from ianvs_collab.modelserver.registry import register_backend
from ianvs_collab.modelserver.stepping import Stepper, open_stepper
from ianvs_collab.speculative.paced import Costs, PacedStepper, WaitingClock


class PacedServer:
    """A model whose steps are waited for."""

    def __init__(self, server: Any, costs: Costs) -> None:
        self._server, self._costs = server, costs

    def __getattr__(self, name: str) -> Any:
        """Everything else is as it was."""
        return getattr(self._server, name)

    def stepper(self) -> Stepper:
        """The step interface."""
        return PacedStepper(open_stepper(self._server), self._costs, WaitingClock())


@register_backend("paced")
def load(model: str, *, costs: str) -> PacedServer:
    """A model of transformers on one thread, at the pace of a table in a file."""
    columns = json.loads(Path(costs).read_text(encoding="utf-8"))
    table = Costs(**{name: tuple(column) for name, column in columns.items()})
    return PacedServer(load_model("transformers", model, threads=1), table)


if __name__ == "__main__":
    runpy.run_module("ianvs_collab.inference.cloudprocess", run_name="__main__")
