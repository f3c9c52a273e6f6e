"""The wire format: every message survives it, and nothing else than an error comes of bytes that are none."""

from __future__ import annotations

import math
import re
import tracemalloc
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.cloud.errors import FrameError
from ianvs_collab.cloud.handling import load_messages
from ianvs_collab.cloud.messages.admin import Done, Ping, Problem, Report
from ianvs_collab.cloud.messages.generation import Completed, Generate, Piece
from ianvs_collab.cloud.messages.scoring import Score, Scored
from ianvs_collab.cloud.messages.steps import Close, Fork, Hidden, Open, Scores, States, Step
from ianvs_collab.cloud.messages.texts import Decode, Encode, Tokens, Words
from ianvs_collab.cloud.wire import compression, message
from ianvs_collab.cloud.wire.bytestream import MOST, Reader, put_uint
from ianvs_collab.cloud.wire.fields import FLOAT_TENSOR, TOKEN_IDS, UINT
from ianvs_collab.cloud.wire.frame import Frame, decode_frame, encode_frame
from ianvs_collab.cloud.wire.tensors import FLOATS, TOKENS, Tensor, nbytes, pack, unpack

LIMIT = 2**16
load_messages()

UINTS = st.one_of(st.integers(0, 300), st.integers(0, MOST))
IDS = st.lists(st.one_of(st.integers(0, 2**16 - 1), st.integers(0, 2**31 - 1)), max_size=30).map(tuple)
REALS = st.lists(st.floats(allow_nan=False), max_size=9).map(tuple)
JSONS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=8,
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def tensors(kinds: tuple[str, ...]) -> st.SearchStrategy[Tensor]:
    shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
    return st.tuples(st.sampled_from(kinds), shapes, st.randoms(use_true_random=False)).map(
        lambda given: Tensor(given[0], given[1], given[2].randbytes(nbytes(given[0], given[1])))
    )


MESSAGES = st.one_of(
    st.builds(Problem, TEXTS, TEXTS),
    st.just(Done()),
    st.just(Ping()),
    st.builds(Report, JSONS),
    st.builds(Open, UINTS, st.booleans()),
    st.builds(Step, UINTS, UINTS, IDS, st.booleans(), UINTS, UINTS, UINTS),
    st.builds(Scores, tensors(FLOATS + TOKENS), tensors(FLOATS + TOKENS)),
    st.builds(Fork, UINTS, UINTS, UINTS),
    st.builds(Hidden, UINTS, UINTS, UINTS, UINTS),
    st.builds(States, tensors(FLOATS)),
    st.builds(Close, UINTS),
    st.builds(Encode, JSONS),
    st.builds(Tokens, IDS),
    st.builds(Decode, IDS),
    st.builds(Words, TEXTS),
    st.builds(Generate, JSONS, JSONS),
    st.builds(Piece, IDS, REALS),
    st.builds(Completed, TEXTS, UINTS, TEXTS),
    st.builds(Score, JSONS, IDS),
    st.builds(Scored, REALS, st.booleans()),
)
FRAMES = st.builds(
    lambda value, nonce, sequence, more, takes, times: Frame(
        *message.encode(value), nonce, sequence, more, takes, *times
    ),
    MESSAGES,
    st.binary(min_size=8, max_size=8),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.booleans(),
    st.tuples(UINTS, UINTS, UINTS),
)


@given(value=MESSAGES)
def test_every_message_survives_the_wire(value: Any) -> None:
    kind, body = message.encode(value)
    found = message.decode(kind, body)
    assert found == value
    assert type(found) is type(value)
    assert message.encode(found) == (kind, body)


@given(frame=FRAMES, compressed=st.booleans())
def test_every_frame_survives_the_wire(frame: Frame, compressed: bool) -> None:
    assert decode_frame(encode_frame(frame, compressed=compressed), LIMIT) == frame


@settings(max_examples=200)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_a_frame_or_a_frame_error(data: bytes) -> None:
    read(data)


@settings(max_examples=200)
@given(kind=st.integers(0, 40), body=st.binary(max_size=120))
def test_arbitrary_bodies_are_a_message_or_a_frame_error(kind: int, body: bytes) -> None:
    read(encode_frame(Frame(kind, body, b"\0" * 8, 0)))


@settings(max_examples=250)
@given(frame=FRAMES, compressed=st.booleans(), data=st.data())
def test_mutations_of_frames_are_frames_or_frame_errors(frame: Frame, compressed: bool, data: st.DataObject) -> None:
    good = bytearray(encode_frame(frame, compressed=compressed))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(good)))
        deed = data.draw(st.sampled_from(["cut", "insert", "flip", "repeat"]))
        if deed == "cut":
            del good[at : at + data.draw(st.integers(1, 8))]
        elif deed == "insert":
            good[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        elif deed == "flip" and at < len(good):
            good[at] ^= data.draw(st.integers(1, 255))
        else:
            good += good[:at]
    read(bytes(good))


def read(data: bytes) -> None:
    """Decode as both sides do; the only error is `FrameError`, and what is decoded is no larger than it may be."""
    try:
        frame = decode_frame(data, LIMIT)
        assert len(frame.body) <= max(LIMIT, len(data))
        value = message.decode(frame.kind, frame.body)
    except FrameError as error:
        assert str(error)
    else:
        assert message.encode(value)[0] == frame.kind


@given(number=UINTS)
def test_whole_numbers(number: int) -> None:
    out = bytearray()
    put_uint(out, number)
    assert len(out) == max(math.ceil(number.bit_length() / 7), 1)
    reader = Reader(bytes(out))
    assert reader.uint() == number
    reader.finish()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "ends too early: 1 bytes are wanted at 0, 0 left"),
        (b"\x80", "ends too early"),
        (b"\x80\x00", "longer than it need be"),
        (b"\xff" * 9 + b"\x01", "larger than 2^63 - 1"),
    ],
)
def test_bytes_that_are_no_whole_number(data: bytes, complaint: str) -> None:
    with pytest.raises(FrameError, match=re.escape(complaint)):
        Reader(data).uint()


@pytest.mark.parametrize("number", [-1, 2**63])
def test_numbers_that_cannot_be_sent(number: int) -> None:
    with pytest.raises(FrameError, match="cannot be sent; whole numbers go from 0"):
        put_uint(bytearray(), number)


def body_of(*parts: bytes | int) -> bytes:
    return b"".join(bytes([part]) if isinstance(part, int) else part for part in parts)


@pytest.mark.parametrize(
    ("kind", "body", "complaint"),
    [
        (0, b"", "no message 0; do both sides run the same version"),
        (255, b"", "no message 255"),
        (10, body_of(0, 2), "Open: a flag is 0 or 1, not 2"),
        (10, body_of(0, 1, 0), "Open: 1 bytes follow the end"),
        (23, body_of(2, b"\xff\xff"), "Words: a text is not in UTF-8"),
        (20, body_of(3, b"NaN"), "Encode: a value is not in JSON: NaN is no number of JSON"),
        (20, body_of(1, b"{"), "Encode: a value is not in JSON"),
        (20, body_of(0x90, 0x4E, b"[" * 10_000), "Encode: a value is not in JSON"),
        (21, body_of(1, 1, 0), "a tensor here is of type uint16 or int32, not float32"),
        (21, body_of(77, 1, 0), "not number 77"),
        (21, body_of(4, 2, 1, 1, 0, 0), "tokens come in one dimension, not in shape (1, 1)"),
        (21, body_of(5, 1, 4, b"\0" * 15), "a tensor of int32 and shape (4,) has 16 bytes, but 15 are left"),
        (15, body_of(4, 1, 0), "a tensor here is of type float32 or float16 or bfloat16, not uint16"),
        (15, body_of(1, 5), "at most 4 dimensions, not 5"),
        (15, body_of(1, 2, 0, b"\xff\xff\xff\xff\x7f"), "a tensor's lengths are at most 2147483647"),
        (15, body_of(1, 2, b"\xff\xff\x7f" * 2), "but 0 are left"),
        (31, body_of(1, b"\0" * 6 + b"\xf8\x7f", 0), "a number is none (NaN)"),
        (31, body_of(b"\xff\xff\xff\xff\x7f", 0), "ends too early"),
    ],
)
def test_bodies_that_are_no_message(kind: int, body: bytes, complaint: str) -> None:
    with pytest.raises(FrameError, match=re.escape(complaint)):
        message.decode(kind, body)


@pytest.mark.parametrize(
    "value",
    [
        Words("\ud800"),
        Encode({1, 2}),
        Encode(math.nan),
        Tokens((-(2**31) - 1,)),
        Tokens((2**31,)),
        Open(-1, False),
    ],
)
def test_values_that_cannot_be_sent(value: Any) -> None:
    with pytest.raises(FrameError):
        message.encode(value)


def test_a_tensor_has_the_bytes_that_its_shape_asks_for() -> None:
    with pytest.raises(FrameError, match="does not have 3 bytes"):
        Tensor("float32", (1,), b"abc")
    for dtype, shape in (("float64", (1,)), ("float32", (1,) * 5), ("float32", (-1,))):
        with pytest.raises(FrameError, match="there are no tensors of"):
            Tensor(dtype, shape, b"")


@pytest.mark.parametrize("dtype", FLOATS + TOKENS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 3), (1, 2, 3, 2)])
def test_tensors_of_torch_survive(dtype: str, shape: tuple[int, ...]) -> None:
    numbers = (torch.arange(math.prod(shape)).reshape(shape) * 7).to(getattr(torch, dtype))
    found = unpack(pack(numbers, dtype))
    assert (found.dtype, found.shape) == (numbers.dtype, shape)
    assert torch.equal(found.double(), numbers.double())
    assert found.is_contiguous()


def test_a_transposed_tensor_travels_in_its_order() -> None:
    numbers = torch.arange(6.0).reshape(2, 3).T
    assert torch.equal(unpack(pack(numbers, "float32")), numbers)


def test_tokens_take_two_bytes_if_they_can() -> None:
    assert len(message.encode(Tokens((1, 65_535)))[1]) == 3 + 4
    assert len(message.encode(Tokens((1, 65_536)))[1]) == 3 + 8


def frame_of(body: bytes, **fields: Any) -> Frame:
    return Frame(20, body, b"12345678", 3, **fields)


def test_a_frame_has_eighteen_bytes_around_its_message() -> None:
    assert len(encode_frame(frame_of(b"abc"))) == 18 + 3


def test_only_what_becomes_shorter_is_compressed() -> None:
    noise = bytes(range(256)) * 2
    for body, smaller in ((b"a" * 1000, True), (b"a" * 255, False), (torch.randn(200).numpy().tobytes(), False)):
        data = encode_frame(frame_of(body), compressed=True)
        assert (len(data) < len(body)) == smaller
        assert decode_frame(data, LIMIT).body == body
    assert len(encode_frame(frame_of(noise), compressed=False)) == 18 + len(noise)


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    bomb = encode_frame(frame_of(bytes(2**26)), compressed=True)
    assert len(bomb) < 2**14
    tracemalloc.start()
    with pytest.raises(FrameError, match=f"may state up to {LIMIT} bytes, not {2**26}"):
        decode_frame(bomb, LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    import zstandard

    unstated = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(2**20))
    with pytest.raises(FrameError, match="may state up to"):
        compression.decompress(unstated, LIMIT)
    stated = zstandard.ZstdCompressor().compress(bytes(300))
    for bad in (stated[:-1], stated + b"x", b"nothing", b""):
        with pytest.raises(FrameError, match="cannot be read"):
            compression.decompress(bad, LIMIT)


def test_without_zstd_a_compressed_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_frame(frame_of(b"a" * 1000), compressed=True)
    monkeypatch.setattr(compression, "available", lambda: False)
    with pytest.raises(FrameError, match=r'type: pip install "ianvs-collab\[cloud\]"'):
        decode_frame(data, LIMIT)


@pytest.mark.parametrize(
    ("place", "byte", "complaint"),
    [(0, 9, "of version 9 of the protocol, here is 1"), (2, 8, "unknown flags: 0x8")],
)
def test_frames_of_another_protocol(place: int, byte: int, complaint: str) -> None:
    data = bytearray(encode_frame(frame_of(b"")))
    data[place] = byte
    with pytest.raises(FrameError, match=complaint):
        decode_frame(bytes(data), LIMIT)


def test_numbers_of_messages_are_given_once() -> None:
    @dataclass(frozen=True)
    class Other:
        number: Annotated[int, UINT]

    for kind, complaint in ((10, "message 10 is .*Open; give Other another"), (0, "from 1 to 255"), (256, "1 to 255")):
        with pytest.raises(ValueError, match=complaint):
            message.message(kind)(Other)
    assert message.message(10)(Open) is Open
    assert message.known()[10] == "Open"


def test_every_field_says_how_it_is_sent() -> None:
    for annotation in (int, Annotated[int, "nothing"], Annotated[int, UINT, TOKEN_IDS]):
        with pytest.raises(ValueError, match="does not say how it is sent"):
            message.message(250)(dataclass(frozen=True)(type("Vague", (), {"__annotations__": {"field": annotation}})))


def test_the_types_of_floats_are_on_the_list() -> None:
    out = bytearray()
    FLOAT_TENSOR.put(out, pack(torch.ones(2), "bfloat16"))
    assert FLOAT_TENSOR.take(Reader(bytes(out))).dtype == "bfloat16"
