"""The Ianvs module: `train` measures a portfolio on calibration questions, `predict` serves the test data from it.

Single-task learning fits this algorithm, joint inference does not: an orchestrator needs requests that wait beside one
another, and joint inference asks one question at a time. Ianvs calls `preprocess`, `train`, `save`, `load`, `predict`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

from ianvs_collab.inference import CloudParticipant, EdgeParticipant, Participant, Query, queries
from ianvs_collab.link import Deployment, load_deployment, use_deployment
from ianvs_collab.modelserver import ModelServer, SamplingParams, SharedAnswers, load_model
from ianvs_collab.precision.arrivals import Arrivals, Bursty, Poisson
from ianvs_collab.precision.codec import read_portfolio, write_portfolio
from ianvs_collab.precision.ianvs.calibrating import Calibration, portfolio_of, variants_of
from ianvs_collab.precision.ianvs.queueing import Key, Queues
from ianvs_collab.precision.optimum import Averages, capacity
from ianvs_collab.precision.orchestrator import Orchestrator
from ianvs_collab.precision.policies import make_policy
from ianvs_collab.precision.policy import Policy
from ianvs_collab.precision.portfolio import Portfolio, PrecisionError
from ianvs_collab.precision.requirements import Requirements
from ianvs_collab.precision.tables import Cost
from ianvs_collab.precision.variant import Variant

FILE = "portfolio.json"
_ARRIVALS: dict[str, Callable[[], Arrivals]] = {"poisson": Poisson, "bursty": Bursty}
_ENDS: dict[str, type[Participant]] = {"edge": EdgeParticipant, "cloud": CloudParticipant}


class MultiPrecision:
    """A model at several precisions on two devices, and an orchestrator that chooses for each query.

    Args:
        model: The model all variants are made of: `zoo:cloud`, a folder, or a hub name.
        variants: Which variants there are, by comma; see `ianvs model profile`.
        deployment: Deployment file; tier `virtual`.
        orchestrator: What chooses; a name of `ianvs_collab.precision.policies.POLICIES`.
        variant: Serve with this variant alone, without an orchestrator.
        device: The device of `variant`, and of the orchestrator `device-only`.
        v: Weight of the cost.
        average_accuracy: Least average accuracy, 0 to 1; `lyapunov` keeps it, and load 1 is the highest rate at which
            it can be kept. None for no such constraint.
        min_accuracy: Least calibrated accuracy for every query; None for any.
        deadline_s: Most seconds from arrival to answer for every query; what cannot keep it is refused. None for any.
        cost: What is saved: `energy` or `price`.
        load: Arrival rate as a share of the highest that any policy can serve by the calibrated times; 0: one query at
            a time.
        arrivals: `poisson` or `bursty`.
        seed: Seed of the arrivals.
        calibration: How many questions the portfolio is measured on.
        calibration_data: `train` for the job's training data, `zoo` for nano questions held out for this.
        portfolio: A portfolio that was measured beforehand, instead of measuring.
        max_tokens: Longest completion, in tokens.
        extractor: How the option is read from a completion.
    """

    def __init__(
        self,
        *,
        model: str = "zoo:cloud",
        variants: str = "float32,int8,q8_0,q4_0,pruned",
        deployment: str | None = None,
        orchestrator: str = "lyapunov",
        variant: str | None = None,
        device: str = "cloud",
        v: float = 5.0,
        average_accuracy: float | None = None,
        min_accuracy: float | None = None,
        deadline_s: float | None = None,
        cost: Cost = "energy",
        load: float = 0.8,
        arrivals: str = "poisson",
        seed: int = 0,
        calibration: int = 102,
        calibration_data: Literal["train", "zoo"] = "train",
        portfolio: str | None = None,
        max_tokens: int = 64,
        extractor: str = "option-text",
    ) -> None:
        if arrivals not in _ARRIVALS or load < 0:
            raise PrecisionError(
                f"arrivals are {' or '.join(_ARRIVALS)} and load is at least 0, not {arrivals!r}, {load!r}"
            )
        self.deployment = _virtual(use_deployment(load_deployment(deployment)))
        names = tuple(name.strip() for name in variants.split(","))
        self._calibration = Calibration(
            model, names, self.deployment, calibration_data, calibration, max_tokens, extractor
        )
        self._given = portfolio
        self._alone = (variant, device) if variant else None
        self._policy: Callable[[], Policy] = lambda: make_policy(
            orchestrator, v=v, average_accuracy=average_accuracy, cost=cost, only=device
        )
        self._wanted = Requirements(min_accuracy=min_accuracy, deadline_s=deadline_s)
        self._averages = Averages(None if variant else average_accuracy)  # the same arrivals for every orchestrator
        self._load, self._arrivals, self._seed = load, _ARRIVALS[arrivals](), seed
        self.portfolio: Portfolio | None = None

    def preprocess(self) -> None:
        """Nothing is to be done beforehand; upstream Ianvs insists on being able to ask."""

    def train(self, train_data: Any, **_: Any) -> None:
        """Measure the portfolio, or read the one given. Test cases of one process that need the same share it.

        Raises:
            PrecisionError: If no variant can be measured, or the file is no portfolio.
        """
        self.portfolio = read_portfolio(self._given) if self._given else portfolio_of(self._calibration, train_data)

    def save(self, model_path: str) -> str:
        """Write the portfolio; returns its file.

        Raises:
            OSError: If the folder cannot be written.
        """
        os.makedirs(model_path, exist_ok=True)
        file = os.path.join(model_path, FILE)
        write_portfolio(self._measured(), file)
        return file

    def load(self, model_path: str | None = None, **_: Any) -> None:
        """Read a portfolio that was saved.

        Raises:
            PrecisionError: If the file is no portfolio, or lacks the variant that is to serve alone.
        """
        if model_path:
            self.portfolio = read_portfolio(model_path)
        self.portfolio = _only(self._measured(), self._alone)

    def predict(self, data: Any, **_: Any) -> list[Any]:
        """Serve the test data; returns an answer dict for each question.

        Raises:
            ModelServerError: If a variant cannot be loaded or does not answer.
            PrecisionError: If the orchestrator and the portfolio do not go together.
        """
        use_deployment(self.deployment)
        portfolio = self._measured()
        source = data if hasattr(data, "x") else SimpleNamespace(x=data)
        asked = queries(source, extractor=self._calibration.extractor)
        variants = {each.name: each for each in variants_of(self._calibration, portfolio.variants)}
        participants = _Participants(variants, SamplingParams(max_tokens=self._calibration.max_tokens))
        policy = make_policy("round-robin") if self._alone else self._policy()
        queues = Queues(Orchestrator(portfolio, policy), participants, self._wanted)
        try:
            answers = self._serve(queues, portfolio, asked)
        finally:
            participants.close()
        memory = {"bytes": sum(pair.memory_bytes for pair in portfolio.pairs), "peak_rss_bytes": _peak(portfolio)}
        for answer in answers:
            answer["memory"] = memory
        return answers

    def _serve(self, queues: Queues, portfolio: Portfolio, asked: list[Query]) -> list[Any]:
        if self._load == 0:
            return queues.serve_in_turn(asked)
        rate = self._load * capacity(portfolio, self._averages)
        times = self._arrivals.times(np.random.default_rng(self._seed), len(asked), rate)
        return queues.serve(asked, [float(time) for time in times])

    def _measured(self) -> Portfolio:
        if self.portfolio is None:
            raise PrecisionError("there is no portfolio yet; call train() first, or give `portfolio` a file")
        return self.portfolio


class _Participants(dict[Key, Participant]):
    """Models at either end, each loaded when it is first asked; answers are shared between test cases of a run."""

    def __init__(self, variants: Mapping[str, Variant], params: SamplingParams) -> None:
        super().__init__()
        self._variants, self._params = variants, params
        self._servers: dict[str, ModelServer] = {}

    def __missing__(self, key: Key) -> Participant:
        name, device = key
        if name not in self._servers:
            wanted = self._variants[name]
            self._servers[name] = SharedAnswers(load_model(wanted.backend, wanted.model, **wanted.options))
        self[key] = _ENDS[device](self._servers[name], self._params)
        return self[key]

    def close(self) -> None:
        """Release all models."""
        for server in self._servers.values():
            server.close()


def _virtual(deployment: Deployment) -> Deployment:
    if deployment.tier != "virtual":
        raise PrecisionError(
            f"deployment {deployment.name!r} has tier {deployment.tier!r}; lines before devices are kept on a virtual "
            "clock, so give tier: virtual"
        )
    return deployment


def _only(portfolio: Portfolio, alone: tuple[str, str] | None) -> Portfolio:
    """The portfolio of one pair, if one is to serve alone."""
    if alone is None:
        return portfolio
    pairs = tuple(pair for pair in portfolio.pairs if (pair.variant, pair.device) == alone)
    if not pairs:
        reasons = portfolio.provenance.get("left_out")
        raise PrecisionError(
            f"the portfolio has no {alone[0]} on {alone[1]}; it has {', '.join(map(str, portfolio.pairs))}"
            + (f"; left out were {reasons}" if reasons else "")
        )
    devices = tuple(device for device in portfolio.devices if device.name == alone[1])
    return portfolio.model_copy(update={"pairs": pairs, "devices": devices})


def _peak(portfolio: Portfolio) -> int | None:
    """Memory of one process for each pair; None if one was not measured."""
    peaks = [pair.peak_rss_bytes for pair in portfolio.pairs]
    return None if None in peaks else sum(peak or 0 for peak in peaks)
