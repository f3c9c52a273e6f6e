"""What the worker allows; everything is checked before memory is taken or the model is asked."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Limits of a worker.

    Attributes:
        message_bytes: Longest message from a client, also after decompression.
        reply_bytes: Longest reply.
        prompt_tokens: Most tokens in one request; also their characters divided by `CHARACTERS_PER_TOKEN`.
        sessions: Open sessions in all. Each has a key-value cache.
        sessions_per_client: Open sessions of one client: one certificate, or one address without certificates.
        idle_s: Seconds without a request after which a stream is closed and its sessions are freed.
        request_s: Longest time for one request.
        chunk: Tokens of a long prompt that are computed at once; between chunks the worker looks at deadlines.

    Raises:
        ValueError: If one is not positive.
    """

    message_bytes: int = 4 * MIB
    reply_bytes: int = 64 * MIB
    prompt_tokens: int = 32_768
    sessions: int = 256
    sessions_per_client: int = 128
    idle_s: float = 300.0
    request_s: float = 600.0
    chunk: int = 256

    def __post_init__(self) -> None:
        """Refuse limits that allow nothing."""
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be above 0, not {value!r}")


CHARACTERS_PER_TOKEN = 16
"""More than any prompt in a language has; only keeps the tokenizer from work whose result would be refused."""
