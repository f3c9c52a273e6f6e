"""Messages: there and back, their sizes, and whatever a broken or hostile peer may send."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.speculative import PROTOCOLS, ProtocolError, SpeculativeError, make_codec
from ianvs_collab.speculative.protocols import Block, Ids, Shape, age, frame, varint, varint_bytes
from ianvs_collab.speculative.protocols.counts import keep_largest, round_to_counts
from ianvs_collab.speculative.protocols.packing import Reader
from ianvs_collab.speculative.sampling import Floats
from ianvs_collab.speculative.verification import Draft, Verdict

VOCABULARY = 300
CODECS = {name: make_codec(name, VOCABULARY) for name in PROTOCOLS}
IDS = st.integers(0, VOCABULARY - 1)
NAMES = st.sampled_from(list(PROTOCOLS))


def draft_for(codec: Ids, seed: int, count: int) -> Draft:
    """What an honest edge sends: tokens drawn from rows that the protocol can send."""
    generator = np.random.default_rng(seed)
    if not codec.distributions:
        return Draft(generator.integers(0, VOCABULARY, count).tolist())
    rows = np.stack([codec.round(weights(generator)) for _ in range(count)])
    tokens = [int(generator.choice(VOCABULARY, p=row)) for row in rows]
    return Draft(tokens, rows, rows[np.arange(count), tokens])


def weights(generator: np.random.Generator) -> Floats:
    row: Floats = generator.dirichlet(np.full(VOCABULARY, generator.choice([0.01, 0.1, 1.0])))
    return row


@given(st.integers(0, 2**64))
def test_a_varint_comes_back(value: int) -> None:
    reader = Reader(varint(value), "a number")
    assert reader.varint(value + 1, "it") == value
    reader.end()
    assert len(varint(value)) == varint_bytes(value)


def test_varints_are_leb128() -> None:
    assert varint(624485) == bytes([0xE5, 0x8E, 0x26])  # the example of the DWARF standard


@given(NAMES, st.lists(IDS, max_size=40))
def test_a_prompt_comes_back(name: str, tokens: list[int]) -> None:
    assert CODECS[name].decode_prompt(CODECS[name].encode_prompt(tokens)) == tokens


@given(NAMES, st.integers(0, 1000), st.integers(1, 9), st.integers(0, 2**20), st.one_of(st.none(), IDS))
def test_a_block_comes_back_with_what_its_protocol_sends(
    name: str, number: int, count: int, seed: int, head: int | None
) -> None:
    codec = CODECS[name]
    draft = draft_for(codec, seed, count)
    sent = Block(number, draft, head, bonus=bool(seed & 1), chained=bool(seed & 2))
    found = codec.decode_block(codec.encode_block(sent))
    assert (found.number, found.draft.tokens, found.head, found.wanted) == (number % 128, draft.tokens, head, 0)
    assert (found.bonus, found.chained) == (sent.bonus, sent.chained)
    if codec.distributions:
        assert found.draft.chosen is not None and draft.chosen is not None
        assert found.draft.chosen.tolist() == draft.chosen.tolist()  # exactly: the cloud judges by what was drawn from
    if codec.distributions and not codec.split:
        assert found.draft.rows is not None and draft.rows is not None
        assert (found.draft.rows == draft.rows).all()


@given(NAMES, st.integers(0, 300), st.integers(0, 2**20), st.one_of(st.none(), IDS))
def test_a_request_for_a_stream_comes_back(name: str, number: int, wanted: int, head: int | None) -> None:
    found = CODECS[name].decode_block(CODECS[name].encode_block(Block(number, Draft([]), head, wanted)))
    assert (found.number, found.draft.tokens, found.head, found.wanted) == (number % 128, [], head, wanted)


@given(NAMES, st.integers(0, 300), st.integers(0, 256), st.one_of(st.none(), IDS))
def test_a_verdict_comes_back(name: str, number: int, accepted: int, token: int | None) -> None:
    payload = CODECS[name].encode_verdict(number, Verdict(accepted, token, margin=0.5))
    assert CODECS[name].decode_verdict(payload) == (number % 128, Verdict(accepted, token))


@given(st.integers(0, 2**20))
def test_a_row_comes_back(seed: int) -> None:
    row = weights(np.random.default_rng(seed)).astype(np.float32).astype(np.float64)
    number, verdict = CODECS["dssd"].decode_verdict(CODECS["dssd"].encode_verdict(5, Verdict(2, None, row)))
    assert (number, verdict.accepted, verdict.token) == (5, 2, None)
    assert verdict.row is not None and (verdict.row == row).all()


@given(NAMES, st.binary(max_size=80))
def test_any_bytes_are_either_a_message_or_refused(name: str, payload: bytes) -> None:
    codec = CODECS[name]
    for decode in (codec.decode_prompt, codec.decode_block, codec.decode_verdict):
        try:
            decode(payload)
        except ProtocolError as error:
            assert "is not valid" in str(error)
    try:
        block = codec.decode_block(payload)
    except ProtocolError:
        return
    assert codec.encode_block(block) == payload  # one way to write each message


@given(NAMES, st.integers(0, 2**20), st.data())
def test_a_cut_or_lengthened_block_is_refused(name: str, seed: int, data: st.DataObject) -> None:
    payload = CODECS[name].encode_block(Block(3, draft_for(CODECS[name], seed, 3), 7))
    cut = data.draw(st.integers(0, len(payload) - 1))
    with pytest.raises(ProtocolError):
        CODECS[name].decode_block(payload[:cut])
    with pytest.raises(ProtocolError, match="left over"):
        CODECS[name].decode_block(payload + b"\0")


def whole(*row: int) -> bytes:
    """A row of `full-q` over two tokens."""
    return np.array(row, dtype="<u4").tobytes()


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        ("ids", b"\x05\x08\xff\x7f", "token 0 must be below 300"),
        ("ids", b"\x05\x08\x85\x00", "more bytes than it needs"),
        ("ids", b"\x85\x01\x08\x05", "the number must be below 128"),
        ("ids", b"\x05\x81\x7f", "the number of tokens must be below"),
        ("dssd", b"\x05\x08\x07\0\0\0\0", "above 0 and at most at 1"),
        ("dssd", b"\x05\x08\x07\1\0\0\x80", "above 0 and at most at 1"),
        ("quantised-q", b"\x05\x08\x00", "no entries"),
        ("quantised-q", b"\x05\x08\x11", "number of entries must be below 17"),
        ("quantised-q", b"\x05\x08\x02\x05\xff\x07\x00\x00", "a probability of q must be below 1023"),
        ("quantised-q", b"\x05\x08\x01\x05\x01", "the drawn entry must be below 1"),
    ],
)
def test_a_bad_block_says_what_is_wrong(name: str, payload: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=f"a block of protocol '{name}' of {len(payload)} bytes.*{reason}"):
        CODECS[name].decode_block(payload)


def test_rows_of_full_q_must_be_distributions() -> None:
    codec = make_codec("full-q", 2)
    with pytest.raises(ProtocolError, match="does not sum to 1"):
        codec.decode_block(b"\x00\x08\x00" + whole(2**30, 2**30 - 1))
    with pytest.raises(ProtocolError, match="q = 0"):
        codec.decode_block(b"\x00\x08\x00" + whole(0, 2**31))


@pytest.mark.parametrize("row", [[-0.5, 1.5], [0.0, 0.0], [np.nan, 1.0], [np.inf, 0.0], [1.0, 1.0]])
def test_a_row_of_p_must_be_a_distribution(row: list[float]) -> None:
    payload = b"\x00\x01" + np.array(row, dtype="<f4").tobytes()
    with pytest.raises(ProtocolError, match="no distribution"):
        make_codec("dssd", 2).decode_verdict(payload)


def test_only_dssd_has_rows() -> None:
    with pytest.raises(ProtocolError, match="a row, which this protocol does not have"):
        CODECS["ids"].decode_verdict(b"\x00\x01" + bytes(4 * VOCABULARY))
    with pytest.raises(SpeculativeError, match="use dssd"):
        CODECS["full-q"].encode_verdict(0, Verdict(0, None, np.ones(VOCABULARY)))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(SpeculativeError, match="no protocol 'idz'.*ids, quantised-q, dssd, full-q"):
        make_codec("idz", 8)
    for settings in ({"top": 0}, {"bits": 0}, {"bits": 32}):
        with pytest.raises(SpeculativeError, match="1 <= bits <= 31"):
            make_codec("quantised-q", 8, **settings)
    with pytest.raises(SpeculativeError, match="at most 256"):
        CODECS["ids"].encode_block(Block(0, Draft([1] * 257)))


@given(st.integers(0, 2**20), st.integers(1, 31))
def test_rounding_is_exact_near_and_sums_to_one(seed: int, bits: int) -> None:
    row = weights(np.random.default_rng(seed))
    rounded = round_to_counts(row, bits)
    counts = rounded * 2**bits
    assert (counts == counts.round()).all() and counts.sum() == 2**bits
    assert abs(rounded - row).max() <= 2.0**-bits
    assert not rounded[row == 0].any()
    assert (round_to_counts(rounded, bits) == rounded).all()


def test_the_largest_are_kept() -> None:
    row = np.array([0.1, 0.4, 0.2, 0.3])
    assert keep_largest(row, 2).tolist() == [0, 0.4, 0, 0.3]
    assert keep_largest(row, 4) is row
    assert (make_codec("quantised-q", 4, top=2).round(row) > 0).tolist() == [False, True, False, True]


def test_numbers_are_compared_as_serial_numbers() -> None:
    assert [age(number, 130) for number in (2, 1, 127, 3)] == [0, 1, 3, -1]


@given(NAMES, st.integers(1, 6), st.integers(0, 2**20))
def test_the_closed_formula_is_the_size_of_a_block_and_its_verdict(name: str, count: int, seed: int) -> None:
    codec = CODECS[name]
    draft = draft_for(codec, seed, count)
    draft = Draft([200] * count, draft.rows, draft.chosen) if name != "quantised-q" else draft
    support = 0.0 if draft.rows is None else float((draft.rows > 0).sum(-1).mean())
    payload = codec.encode_block(Block(4, draft))
    entries = (len(payload) - 2 - 2 * count) / (count * support) if support else 0.0
    up, down = codec.formula(Shape(count, 3, 2.0, 2.0, VOCABULARY, support=support, entry_bytes=entries))
    assert up * 3 == pytest.approx(len(payload))
    assert down * 3 == pytest.approx(len(codec.encode_verdict(4, Verdict(2, 200))))


def test_the_closed_formula_of_dssd_counts_rows_and_heads() -> None:
    codec, row = CODECS["dssd"], np.full(VOCABULARY, 1 / VOCABULARY)
    draft = Draft([200, 201], None, np.array([0.5, 0.5]))
    up, down = codec.formula(Shape(2, 1, 2.0, 2.0, VOCABULARY, rejected=1.0))
    assert up == len(codec.encode_block(Block(1, draft, 250)))
    assert down == len(codec.encode_verdict(1, Verdict(0, None, row)))


def test_a_frame_on_a_socket_has_the_length_in_front() -> None:
    left, right = socket.socketpair()
    with left, right:
        payload = bytes(200)
        left.sendall(frame(payload))
        left.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: right.recv(64), b""))
    assert received == varint(200) + payload
