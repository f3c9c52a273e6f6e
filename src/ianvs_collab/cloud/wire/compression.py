"""Optional compression by zstd (RFC 8878), which never makes more bytes than were allowed."""

from __future__ import annotations

from importlib.util import find_spec

from ianvs_collab.cloud.errors import FrameError
from ianvs_collab.cloud.optional import need

WORTH_IT = 256  # bytes; below, the frame around them costs what is saved
_LEVEL = 1  # logits shrink little at any level, and a step waits for it


def available() -> bool:
    """Whether zstd is installed."""
    return find_spec("zstandard") is not None


def compress(data: bytes) -> bytes | None:
    """Shorter bytes, or None if there are none worth the while."""
    if len(data) < WORTH_IT:
        return None
    shorter: bytes = need("zstandard", "zstandard").ZstdCompressor(level=_LEVEL).compress(data)
    return shorter if len(shorter) < len(data) else None


def decompress(data: bytes | memoryview, limit: int) -> bytes:
    """What was compressed.

    Args:
        data: One frame of zstd that states the size of its content.
        limit: Most bytes that may come out of it.

    Raises:
        FrameError: If it is no such frame, or more would come out; checked on what the frame states before any memory
            is taken, and kept to by the decoder.
    """
    if not available():
        raise FrameError(
            'the message is compressed by zstd, which is not here; type: pip install "ianvs-collab[cloud]"'
        )
    zstd = need("zstandard", "zstandard")
    try:
        size = zstd.get_frame_parameters(data).content_size
        if size > limit:  # an unknown size is the largest number
            raise FrameError(f"a compressed message may state up to {limit} bytes, not {size}")
        found: bytes = zstd.ZstdDecompressor().decompress(data, max_output_size=limit, allow_extra_data=False)
    except zstd.ZstdError as error:
        raise FrameError(f"a compressed message cannot be read: {error}") from error
    return found
