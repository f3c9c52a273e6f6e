"""Caches laid side by side: what the model sees, and what each session gets back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.cache_utils import DynamicLayer

from ianvs_collab.modelserver.stepping import joint_cache, step_together
from ianvs_collab.modelserver.stepping.joint_cache import Span, join
from ianvs_collab.modelserver.stepping.joint_pass import sharing

HELD, NEW = [4, 0, 2], [1, 3, 2]
SHAPES = [((2, 4), (2, 4)), ((2, 4), (2, 4)), ((1, 8), (1, 6)), ((2, 4), (2, 4))]  # heads and size of keys and values


def filled(shape: tuple[int, int], rows: int, tokens: int) -> torch.Tensor:
    return torch.rand(rows, shape[0], tokens, shape[1]) + 1


def layer(shapes: tuple[tuple[int, int], tuple[int, int]], tokens: int) -> DynamicLayer:
    made = DynamicLayer()
    if tokens:
        made.update(*(filled(shape, 1, tokens) for shape in shapes))
    return made


@pytest.mark.parametrize("run", [1, 300, 2**26])
@pytest.mark.parametrize("held", [HELD, [0, 0, 0]], ids=["some are empty", "all are empty"])
def test_every_row_is_its_text_and_zeros_on_its_left(monkeypatch: Any, run: int, held: list[int]) -> None:
    monkeypatch.setattr(joint_cache, "_RUN", run)
    torch.manual_seed(0)
    spans = [
        Span([layer(shapes, count) for shapes in SHAPES], count, new) for count, new in zip(held, NEW, strict=True)
    ]
    before = [[(part.keys, part.values) for part in span.layers] for span in spans]
    cache = join(spans)
    for index, shapes in enumerate(SHAPES):
        assert cache.get_seq_length(index) == max(held)
        assert cache.get_mask_sizes(3, index) == (max(held) + 3, 0)
        given = [filled(shape, 3, 3) for shape in shapes]
        found = cache.update(*given, index)
        for row, span in enumerate(spans):
            for kind in (0, 1):
                left = max(held) - span.held
                assert not found[kind][row, :, :left].any()
                assert torch.equal(found[kind][row, :, max(held) :], given[kind][row])
                if span.held:
                    assert torch.equal(found[kind][row, :, left : max(held)], before[row][index][kind][0])
    for index in range(len(SHAPES)):
        for row, span in enumerate(spans):
            part = span.layers[index]
            assert part.get_seq_length() == span.held + span.new
            assert part.keys.shape[1::2] == SHAPES[index][0] and part.values.shape[1::2] == SHAPES[index][1]
            if span.held:
                assert torch.equal(part.keys[:, :, : span.held], before[row][index][0])
            part.update(*(filled(shape, 1, 1) for shape in SHAPES[index]))
            assert part.get_seq_length() == span.held + span.new + 1


def test_what_lies_in_memory_does_not_show(monkeypatch: Any, make_model: Any, make_stepper: Any) -> None:
    stepper = make_stepper(make_model("llama"))
    sessions = [stepper.open() for _ in range(2)]
    sessions[0].prefill([1, 2, 3, 4, 5, 6])
    sessions[1].prefill([7])
    twins = [session.fork() for session in sessions]
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda self, *shape: self.new_full(shape, torch.nan))
    found = step_together(sessions, [[8], [9, 10]])
    for twin, tokens, logits in zip(twins, [[8], [9, 10]], found, strict=True):
        torch.testing.assert_close(logits, twin.step(tokens), atol=1e-5, rtol=0)


def test_layers_without_keys_of_their_own_cannot_be_laid_side_by_side(make_model: Any, make_stepper: Any) -> None:
    session = make_stepper(make_model("llama")).open()
    assert sharing(session) is not None
    session.prefill([1, 2, 3])
    assert sharing(session) is not None
    session._cache.values.layers[1] = DynamicLayer()
    assert sharing(session) is None
    session._cache.values.layers = []
    assert sharing(session) is None
