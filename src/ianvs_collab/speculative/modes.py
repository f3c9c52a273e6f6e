"""The modes: which rule the cloud verifies by, and how the edge takes tokens so that they fit."""

from __future__ import annotations

import dataclasses

import numpy as np

from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative.drafters.picking import DrawingPicker, FixedPicker, Picker
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.noise import fresh_seed
from ianvs_collab.speculative.protocols import Ids
from ianvs_collab.speculative.verification import Chooser, Greedy, Gumbel, Matching, Rejection, SampleMatch, Verifier

MODES = ("greedy", "rejection", "sample-match", "gumbel")
"""Modes by name."""


def check_mode(mode: str, codec: Ids, params: SamplingParams) -> None:
    """Refuse what does not fit together.

    Raises:
        SpeculativeError: If there is no such mode, the protocol does not carry what it needs or carries what it does
            not, the temperature is 0 or not where the mode says otherwise, or stop texts or log-probabilities are asked
            for.
    """
    if params.stop or params.logprobs:
        raise SpeculativeError(
            "speculative decoding ends at end tokens and max_tokens alone and tells no log-probabilities; leave `stop` "
            "and `logprobs` out"
        )
    if mode not in MODES:
        raise SpeculativeError(f"there is no mode {mode!r}; choose one of {', '.join(MODES)}")
    if (mode == "rejection") != codec.distributions:
        fitting = "quantised-q, dssd or full-q" if mode == "rejection" else "ids"
        raise SpeculativeError(f"mode {mode!r} does not go with protocol {codec.name!r}; use {fitting}")
    if (mode == "greedy") != params.greedy:
        raise SpeculativeError(
            f"mode {mode!r} does not go with temperature {params.temperature}; "
            "use mode greedy with temperature 0, another mode with a temperature above 0"
        )


def seeded(params: SamplingParams) -> SamplingParams:
    """The same parameters with a seed, a fresh one if they had none."""
    return params if params.seed is not None else dataclasses.replace(params, seed=fresh_seed())


def make_chooser(mode: str, params: SamplingParams) -> Chooser:
    """The rule that fixes the target's token: what the output of a mode other than rejection is equal to.

    Args:
        mode: `greedy`, `sample-match` or `gumbel`.
        params: With a seed, but for `greedy`.
    """
    if mode == "greedy":
        return Greedy()
    assert params.seed is not None
    return Gumbel(params, params.seed) if mode == "gumbel" else SampleMatch(params, params.seed)


def make_verifier(mode: str, params: SamplingParams, codec: Ids) -> Verifier:
    """The cloud's half of a mode."""
    if mode == "rejection":
        return Rejection(params, _generator(params, 1), split=codec.split)
    return Matching(make_chooser(mode, params))


def make_picker(mode: str, params: SamplingParams, codec: Ids) -> Picker:
    """The edge's half of a mode.

    With sample-match the most probable token is the one that the target draws most often, so no draft is drawn.
    """
    if mode == "rejection":
        return DrawingPicker(params, _generator(params, 0), codec.round, codec.vocabulary)
    return FixedPicker(Greedy() if mode == "sample-match" else make_chooser(mode, params))


def make_generator(params: SamplingParams) -> np.random.Generator:
    """Where the edge draws replacements from, with the split protocol."""
    return _generator(params, 2)


def _generator(params: SamplingParams, stream: int) -> np.random.Generator:
    """Independent random numbers for each use of one seed."""
    assert params.seed is not None
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([abs(params.seed), stream])))
