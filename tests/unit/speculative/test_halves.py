"""What a bad link or a bad peer does to a query: an error or nothing, never a wrong token."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ianvs_collab.link import Deployment, Timeline
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import CloudLostError, ModelDrafter, ProtocolError, make_codec
from ianvs_collab.speculative.drafters import FixedPicker
from ianvs_collab.speculative.loop import CloudHalf, EdgeHalf, FixedLength, VirtualExchange, run_synchronous
from ianvs_collab.speculative.modes import make_generator, make_picker, make_verifier
from ianvs_collab.speculative.protocols import Block
from ianvs_collab.speculative.verification import Draft, Greedy, Matching, Verdict

from .toys import ToyStepper, alone

TARGET = ToyStepper()
CODEC = make_codec("ids", 8)
PROMPT = [1, 2, 3]
PARAMS = SamplingParams(max_tokens=30)
HOT = SamplingParams(temperature=1.0, seed=1, max_tokens=30)


def cloud_half() -> CloudHalf:
    cloud = CloudHalf(TARGET, CODEC, Matching(Greedy()))
    cloud.open(CODEC.encode_prompt(PROMPT))
    return cloud


def edge_half(length: int = 30) -> EdgeHalf:
    drafter = ModelDrafter(TARGET.blurred(0.5), 8)
    drafter.begin(PROMPT, FixedPicker(Greedy()))
    return EdgeHalf(drafter, CODEC, make_generator(HOT), length, ())


class Disturbed:
    """A cloud behind a link that misbehaves."""

    def __init__(self, cloud: CloudHalf) -> None:
        self._cloud = cloud

    def open(self, payload: bytes) -> None:
        self._cloud.open(payload)

    def answer(self, payload: bytes) -> Iterator[bytes]:
        return self._cloud.answer(payload)

    def close(self) -> None:
        self._cloud.close()


class Repeating(Disturbed):
    """Delivers every block and every verdict twice."""

    def answer(self, payload: bytes) -> Iterator[bytes]:
        for verdict in [*self._cloud.answer(payload), *self._cloud.answer(payload)]:
            yield from (verdict, verdict)


class Vanishing(Disturbed):
    """Is gone after a few blocks."""

    left = 3

    def answer(self, payload: bytes) -> Iterator[bytes]:
        if not self.left:
            raise ConnectionResetError("connection reset by peer")
        self.left -= 1
        return self._cloud.answer(payload)


def decode(kind: type[Disturbed], edge: EdgeHalf) -> None:
    exchange = VirtualExchange(edge, kind(CloudHalf(TARGET, CODEC, Matching(Greedy()))), CODEC, Timeline(Deployment()))
    exchange.start(PROMPT, lambda: None)
    run_synchronous(exchange, FixedLength(4), 4)


def test_repeated_messages_change_nothing() -> None:
    edge = edge_half()
    decode(Repeating, edge)
    assert edge.tokens == alone(TARGET, "greedy", PROMPT, PARAMS)
    assert edge.tally.stale == 3 * edge.tally.blocks - 3  # all but those after the last token


def test_a_lost_cloud_is_an_error_that_has_what_was_right() -> None:
    edge = edge_half()
    with pytest.raises(CloudLostError, match="connection reset by peer") as lost:
        decode(Vanishing, edge)
    expected = alone(TARGET, "greedy", PROMPT, PARAMS)
    assert 3 <= len(lost.value.tokens) < len(expected)
    assert lost.value.tokens == expected[: len(lost.value.tokens)]


def test_a_stale_verdict_is_ignored_and_a_foreign_one_refused() -> None:
    edge, cloud = edge_half(), cloud_half()
    first = next(cloud.answer(CODEC.encode_block(edge.block(4, 1))))
    assert edge.receive(first)
    before = list(edge.tokens)
    with pytest.raises(ProtocolError, match="waits for 0 verdicts from 1 on"):
        edge.receive(b"\x01\x00\x05")  # nobody asked
    edge.block(4, 1)
    assert edge.receive(first) == []
    assert edge.tally.stale == 1
    with pytest.raises(ProtocolError, match="do not talk about the same block"):
        edge.receive(b"\x02\x00\x05")
    with pytest.raises(ProtocolError, match="verdict 1 accepts 9 tokens"):
        edge.receive(b"\x01\x12\x05")
    assert edge.tokens == before


def test_a_block_out_of_order_is_refused_and_the_cloud_goes_on() -> None:
    cloud = cloud_half()
    with pytest.raises(ProtocolError, match="block 1 came where block 0 was expected"):
        next(cloud.answer(CODEC.encode_block(Block(1, Draft([1, 2])))))
    verdict = next(cloud.answer(CODEC.encode_block(Block(0, Draft([1, 2])))))
    assert CODEC.decode_verdict(verdict)[0] == 0
    assert list(cloud.answer(CODEC.encode_block(Block(0, Draft([1, 2]))))) == [verdict]
    cloud.close()


def test_a_prompt_has_to_come_first_and_not_be_empty() -> None:
    cloud = CloudHalf(TARGET, CODEC, Matching(Greedy()))
    with pytest.raises(ProtocolError, match="came where"):
        next(cloud.answer(CODEC.encode_block(Block(0, Draft([1])))))
    with pytest.raises(ProtocolError, match="the prompt is empty"):
        cloud.open(CODEC.encode_prompt([]))


def test_a_stream_ends_with_the_end_token_at_the_cloud_too() -> None:
    target = ToyStepper()
    reference = alone(target, "greedy", PROMPT, PARAMS)
    cloud = CloudHalf(target, CODEC, Matching(Greedy()), end_tokens=(reference[3],))
    cloud.open(CODEC.encode_prompt(PROMPT))
    verdicts = list(cloud.answer(CODEC.encode_block(Block(0, Draft([]), wanted=30))))
    tokens = [CODEC.decode_verdict(payload)[1].token for payload in verdicts]
    assert tokens == reference[: reference.index(reference[3]) + 1]


def test_heads_come_after_rejections_and_only_then() -> None:
    codec = make_codec("dssd", 8)
    cloud = CloudHalf(TARGET, codec, make_verifier("rejection", HOT, codec))
    cloud.open(codec.encode_prompt(PROMPT))
    draft = ModelDrafter(TARGET.blurred(4), 8)
    draft.begin(PROMPT, make_picker("rejection", HOT, codec))
    edge = EdgeHalf(draft, codec, make_generator(HOT), 30, ())
    for _ in range(30):
        block = edge.block(3, 1)
        verdict = next(cloud.answer(codec.encode_block(block)))
        edge.receive(verdict)
        if codec.decode_verdict(verdict)[1].row is not None:
            break
    with pytest.raises(ProtocolError, match="lacks a head"):
        next(cloud.answer(codec.encode_block(Block(block.number + 1, Draft([])))))
    assert next(cloud.answer(codec.encode_block(edge.block(0, 1))))
    with pytest.raises(ProtocolError, match="has a head"):
        next(cloud.answer(codec.encode_block(Block(block.number + 2, Draft([]), head=1, wanted=1))))


def test_a_row_without_a_rejection_is_refused() -> None:
    codec = make_codec("dssd", 8)
    drafter = ModelDrafter(TARGET, 8)
    drafter.begin(PROMPT, make_picker("rejection", HOT, codec))
    edge = EdgeHalf(drafter, codec, make_generator(HOT), 30, ())
    edge.block(3, 1)
    with pytest.raises(ProtocolError, match="a row without a rejection"):
        edge.receive(codec.encode_verdict(0, Verdict(3, None, np.full(8, 0.125))))
