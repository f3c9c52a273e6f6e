"""Protocol `ids`: a block is its ids, a verdict the number of accepted ones and one id. The smallest there is.

It serves every mode in which the target's token is fixed without q: greedy, sample-match, Gumbel coupling. Layout:

    prompt   varint count, varint ids
    block    number (1 byte), varint count * 8 + flags, [varint head], varint ids
    stream   number (1 byte), varint flags, [varint head], varint tokens wanted
    verdict  number (1 byte), varint accepted * 2 + (1 if a row follows), varint id, or the row, or nothing

Flags of a block are 1 if a head follows, 2 if no bonus token is wanted, 4 if it is chained. A verdict ends without an
id where the whole draft stands and no bonus was wanted.

The other protocols put q behind the ids of a block, or a row into a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.protocols.messages import NUMBERS, Block, Shape
from ianvs_collab.speculative.protocols.packing import Reader, varint
from ianvs_collab.speculative.sampling import Floats
from ianvs_collab.speculative.verification.base import Draft, Verdict

MAX_DRAFT = 256
MAX_TOKENS = 2**24


class Ids:
    """A protocol that sends ids alone, and the frame of all others.

    Args:
        vocabulary: Number of token ids of the target.

    Attributes:
        name: As users write it.
        distributions: Whether q travels.
        split: Whether the edge draws replacements, from a row of p.
    """

    name = "ids"
    distributions = False
    split = False

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def round(self, q: Floats) -> Floats:
        """The distribution nearest to q, shape (vocabulary,), that this protocol can send; to be drawn from."""
        return q

    def encode_prompt(self, tokens: Sequence[int]) -> bytes:
        """The prompt as a message."""
        return varint(len(tokens)) + b"".join(map(varint, tokens))

    def count_prompt(self, payload: bytes) -> int:
        """How many tokens the prompt of a message claims to have; takes no time, however many those are.

        Raises:
            ProtocolError: If it is none.
        """
        return Reader(payload, "a prompt").varint(MAX_TOKENS, "the number of tokens")

    def decode_prompt(self, payload: bytes) -> list[int]:
        """The prompt of a message.

        Raises:
            ProtocolError: If it is none.
        """
        reader = Reader(payload, "a prompt")
        tokens = self._ids(reader, reader.varint(MAX_TOKENS, "the number of tokens"))
        reader.end()
        return tokens

    def encode_block(self, block: Block) -> bytes:
        """A block or a request for a stream as a message.

        Raises:
            SpeculativeError: If the draft is longer than a message may be.
        """
        tokens = block.draft.tokens
        flags = (block.head is not None) + 2 * (not block.bonus) + 4 * block.chained
        if len(tokens) > MAX_DRAFT:
            raise SpeculativeError(f"a draft of {len(tokens)} tokens is too long; use at most {MAX_DRAFT}")
        parts = [bytes([block.number % NUMBERS]), varint(8 * len(tokens) + flags)]
        if block.head is not None:
            parts.append(varint(block.head))
        parts.append(self._encode_draft(block.draft) if tokens else varint(block.wanted))
        return b"".join(parts)

    def count_block(self, payload: bytes) -> int:
        """How many tokens a block has, 0 for a request for a stream; takes no time, however many those are.

        Raises:
            ProtocolError: If it is none.
        """
        reader = Reader(payload, f"a block of protocol {self.name!r}")
        reader.varint(NUMBERS, "the number")
        return reader.varint(8 * MAX_DRAFT + 8, "the number of tokens") // 8

    def decode_block(self, payload: bytes) -> Block:
        """The block of a message.

        Raises:
            ProtocolError: If it is none.
        """
        reader = Reader(payload, f"a block of protocol {self.name!r}")
        number = reader.varint(NUMBERS, "the number")
        count, flags = divmod(reader.varint(8 * MAX_DRAFT + 8, "the number of tokens"), 8)
        head = reader.varint(self.vocabulary, "the head") if flags & 1 else None
        draft = self._decode_draft(reader, count) if count else Draft([])
        wanted = 0 if count else reader.varint(MAX_TOKENS, "the number of tokens wanted")
        reader.end()
        return Block(number, draft, head, wanted, bonus=not flags & 2, chained=bool(flags & 4))

    def encode_verdict(self, number: int, verdict: Verdict) -> bytes:
        """A verdict as a message."""
        start = bytes([number % NUMBERS])
        if verdict.token is not None:
            return start + varint(2 * verdict.accepted) + varint(verdict.token)
        if verdict.row is None:
            return start + varint(2 * verdict.accepted)
        return start + varint(2 * verdict.accepted + 1) + self._encode_row(verdict.row)

    def decode_verdict(self, payload: bytes) -> tuple[int, Verdict]:
        """The number, modulo `NUMBERS`, and the verdict of a message.

        Raises:
            ProtocolError: If it is none.
        """
        reader = Reader(payload, f"a verdict of protocol {self.name!r}")
        number = reader.varint(NUMBERS, "the number")
        accepted, with_row = divmod(reader.varint(2 * MAX_DRAFT + 2, "the number of accepted tokens"), 2)
        if with_row:
            verdict = Verdict(accepted, None, self._decode_row(reader))
        elif reader.left:
            verdict = Verdict(accepted, reader.varint(self.vocabulary, "the token"))
        else:
            verdict = Verdict(accepted, None)
        reader.end()
        return number, verdict

    def formula(self, shape: Shape) -> tuple[float, float]:
        """Payload bytes up and down per committed token, in closed form.

        Up (2 + γ·b) / N and down (2 + c) / N, with b bytes for a drafted id and c for the one in the verdict, for
        drafts of up to 15 tokens with a bonus; prompt, streams and framing are not in it.
        """
        return (2 + shape.drafted * shape.id_bytes) / shape.committed, (2 + shape.verdict_id_bytes) / shape.committed

    def _ids(self, reader: Reader, count: int) -> list[int]:
        return [reader.varint(self.vocabulary, f"token {index}") for index in range(count)]

    def _encode_draft(self, draft: Draft) -> bytes:
        return b"".join(map(varint, draft.tokens))

    def _decode_draft(self, reader: Reader, count: int) -> Draft:
        return Draft(self._ids(reader, count))

    def _encode_row(self, row: Floats) -> bytes:
        raise SpeculativeError(f"protocol {self.name!r} sends no rows; use dssd where the edge draws replacements")

    def _decode_row(self, reader: Reader) -> Floats:
        raise reader.error("it announces a row, which this protocol does not have")
