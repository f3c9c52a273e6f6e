"""The frame around a message: which conversation it belongs to, its place there, and the times that go with it.

byte  0     version of the protocol
byte  1     number of the message
byte  2     flags: 1 another reply to the same request follows, 2 body compressed, 4 replies may be compressed
bytes 3-10  nonce of the conversation, chosen by the client
bytes 11-14 place of the request in the conversation, from 0; a reply has that of its request
then        three whole numbers: time allowed (ms, 0: none), time queued (µs), time computed (µs)
then        the body
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ianvs_collab.cloud.errors import FrameError
from ianvs_collab.cloud.wire import compression
from ianvs_collab.cloud.wire.bytestream import Reader, put_uint

VERSION = 1
SERVICE, METHOD = "ianvs.cloud.v1.Cloud", "Talk"
"""Where frames are exchanged, in the words of gRPC."""
NONCE_BYTES = 8
_HEAD = struct.Struct(f"<BBB{NONCE_BYTES}sI")
_MORE, _COMPRESSED, _TAKES_COMPRESSED = 1, 2, 4


@dataclass(frozen=True)
class Frame:
    """A message on its way.

    Attributes:
        kind: Number of the message.
        body: Its bytes, uncompressed.
        nonce: Which conversation this is, eight bytes.
        sequence: Which request in it, from 0.
        more: Whether another reply to the same request follows.
        takes_compressed: Whether the sender can read compressed bodies.
        budget_ms: Milliseconds that the request may take; 0 for any.
        queued_us: Microseconds that it waited for the model.
        compute_us: Microseconds that the model worked on it.
    """

    kind: int
    body: bytes | memoryview
    nonce: bytes
    sequence: int
    more: bool = False
    takes_compressed: bool = False
    budget_ms: int = 0
    queued_us: int = 0
    compute_us: int = 0


def encode_frame(frame: Frame, *, compressed: bool = False) -> bytes:
    """A frame as bytes.

    Args:
        frame: The frame.
        compressed: Whether the body may be compressed, which is done if it becomes shorter.
    """
    shorter = compression.compress(bytes(frame.body)) if compressed else None
    flags = _MORE * frame.more | _COMPRESSED * (shorter is not None) | _TAKES_COMPRESSED * frame.takes_compressed
    out = bytearray(_HEAD.pack(VERSION, frame.kind, flags, frame.nonce, frame.sequence))
    for number in (frame.budget_ms, frame.queued_us, frame.compute_us):
        put_uint(out, number)
    out += frame.body if shorter is None else shorter
    return bytes(out)


def decode_frame(data: bytes, limit: int) -> Frame:
    """The frame that bytes are.

    Args:
        data: What arrived.
        limit: Most bytes that a compressed body may become.

    Raises:
        FrameError: If they are no frame of this version.
    """
    reader = Reader(data)
    version, kind, flags, nonce, sequence = _HEAD.unpack(reader.take(_HEAD.size))
    if version != VERSION:
        raise FrameError(f"the message is of version {version} of the protocol, here is {VERSION}; install the same")
    if flags > _MORE | _COMPRESSED | _TAKES_COMPRESSED:
        raise FrameError(f"the message has unknown flags: {flags:#x}")
    budget, queued, computed = reader.uint(), reader.uint(), reader.uint()
    body: bytes | memoryview = reader.take(reader.left)
    if flags & _COMPRESSED:
        body = compression.decompress(body, limit)
    return Frame(
        kind, body, nonce, sequence, bool(flags & _MORE), bool(flags & _TAKES_COMPRESSED), budget, queued, computed
    )
