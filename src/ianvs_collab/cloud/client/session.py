"""A session whose key-value cache is on the worker, and whose tokens are also kept here.

Should the stream break, because the link was cut or the worker was started again, the session opens another one and
has its tokens computed again, then repeats what it was about to do. The caller sees a slow step and no error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from ianvs_collab.cloud.client.client import Client
from ianvs_collab.cloud.client.stream import Stream
from ianvs_collab.cloud.client.traffic import Cost
from ianvs_collab.cloud.messages.answers import Answer
from ianvs_collab.cloud.messages.steps import Close, Fork, Hidden, Open, Scores, Step
from ianvs_collab.cloud.wire.tensors import FLOATS, unpack
from ianvs_collab.modelserver.stepping.ledger import Ledger
from ianvs_collab.modelserver.stepping.protocol import StepError
from ianvs_collab.modelserver.stepping.session import LedgerText
from ianvs_collab.modelserver.types import ModelServerError

if TYPE_CHECKING:
    import torch

_PIECE = 4096  # tokens of one message when a text is computed again


class RemoteSession(LedgerText):
    """A `Session` on the worker; `RemoteStepper.open()` makes one.

    Args:
        client: The connection.
        hidden: Whether to keep hidden states.
        dtype: Type in which logits travel, one of `FLOATS`.

    Attributes:
        cost: What the last request took; None before the first.
        recoveries: How often the text had to be computed again because the stream broke.
    """

    def __init__(self, client: Client, hidden: bool, dtype: str) -> None:
        about = client.capabilities
        super().__init__(Ledger(about["model"]["model"], about["vocabulary"], about["context"]))
        self._client, self._keeps_hidden, self._dtype = client, hidden, dtype
        self._stream: Stream | None = None
        self._branch = 0
        self._fresh = 0  # of the last call's tokens, those still there
        self._closed = False
        self.cost: Cost | None = None
        self.recoveries = 0

    def start(self) -> Self:
        """Open the session on the worker.

        Raises:
            LimitError: If there are too many.
        """
        self._client.patiently(self._ready)
        return self

    def prefill(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append tokens; see `Session.prefill`.

        Raises:
            StepError: See there.
        """
        return self._logits(self._append(tokens, whole=False, form=Answer.LOGITS))[0]

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append tokens in one forward pass; see `Session.step`.

        Raises:
            StepError: See there.
        """
        return self._logits(self._append(tokens, whole=True, form=Answer.LOGITS))

    def step_argmax(self, tokens: Sequence[int]) -> list[int]:
        """Append tokens in one forward pass; only the most probable token after each of them travels.

        Raises:
            StepError: As `step`.
        """
        found: list[int] = unpack(self._append(tokens, whole=True, form=Answer.ARGMAX).ids).tolist()
        return found

    def step_top(self, tokens: Sequence[int], top: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Append tokens in one forward pass; only the most probable tokens travel, and their logits.

        Args:
            tokens: The tokens.
            top: How many for each position.

        Returns:
            Ids, int64, and logits, float32, both of shape (len(tokens), top), the most probable first.

        Raises:
            StepError: As `step`.
        """
        scores = self._append(tokens, whole=True, form=Answer.TOP, top=top)
        return unpack(scores.ids).long(), self._logits(scores)

    def rollback(self, count: int) -> None:
        """Forget the last `count` tokens; the worker hears of it with the next request.

        Raises:
            StepError: See `Session.rollback`.
        """
        self._ledger.drop(count)
        self._fresh = max(self._fresh - count, 0)

    def fork(self) -> Self:
        """An independent copy; see `Session.fork`. Both share a stream until it breaks.

        Raises:
            StepError: See there.
        """
        ledger = self._ledger.copy()
        other = type(self)(self._client, self._keeps_hidden, self._dtype)

        def attempt() -> Stream:
            stream = self._ready()
            other._branch = stream.next_branch()
            _, self.cost = stream.ask(Fork(self._branch, self.length, other._branch), self._client.timeout)
            return stream

        other._ledger = ledger
        other._sit(self._client.patiently(attempt))
        other._fresh = self._fresh
        return other

    def hidden(self, layer: int, dtype: str | None = None) -> torch.Tensor:
        """Hidden states of the last call's tokens; see `Session.hidden`.

        Args:
            layer: Which layer.
            dtype: Type in which they travel, one of `FLOATS`; None for the model's own.

        Raises:
            StepError: See there.
        """
        self._ledger.check_open()
        if not self._keeps_hidden:
            raise StepError("this session keeps no hidden states; open it with `open(hidden=True)`")
        if not self._fresh:
            raise StepError("there are no hidden states: nothing was appended yet, or all of it was rolled back")
        if layer < 0:
            about = self._client.capabilities
            name, layers = about["model"]["model"], about["layers"]
            raise StepError(f"model {name!r} has no layer {layer}; give 0 (embeddings) to {layers}")
        code = 0 if dtype is None else 1 + FLOATS.index(dtype)
        return unpack(self.ask(lambda branch, at: Hidden(branch, at, layer, code)).states)

    def ask(self, make: Callable[[int, int], Any]) -> Any:
        """Send a message about this session, an extension's for instance; again if the stream breaks.

        Args:
            make: Function from the session's number on its stream and its length to the request.

        Returns:
            The reply.

        Raises:
            ModelServerError: If the worker refuses it or cannot be reached.
        """
        self._ledger.check_open()

        def attempt() -> tuple[Any, Cost]:
            stream = self._ready()
            return stream.ask(make(self._branch, self.length), self._client.timeout)

        reply, self.cost = self._client.patiently(attempt)
        return reply

    def note(self, tokens: Sequence[int]) -> None:
        """Take note of tokens that a message has appended on the worker."""
        self._ledger.append(tokens)
        self._fresh = len(tokens)

    def close(self) -> None:
        """Release the cache on the worker. Closing twice is harmless."""
        self._ledger.close()
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if stream.users > 1:
            try:
                stream.ask(Close(self._branch), self._client.timeout)
            except ModelServerError:
                stream.close()  # which frees the session; the others open streams of their own
        stream.leave()

    def __del__(self) -> None:
        """Hang up if the program has forgotten the session; nothing is waited for here."""
        stream = getattr(self, "_stream", None)
        if stream is not None:
            stream.leave()

    def _append(self, tokens: Sequence[int], *, whole: bool, form: Answer, top: int = 0) -> Scores:
        self._ledger.check(tokens)
        sent, dtype = tuple(tokens), FLOATS.index(self._dtype)
        scores: Scores = self.ask(lambda branch, at: Step(branch, at, sent, whole, form, top, dtype))
        self.note(sent)
        return scores

    def _ready(self) -> Stream:
        """The session's stream; a new one, with the text computed again, if there is none that works."""
        if self._stream is not None and not self._stream.broken:
            return self._stream
        again = self._stream is not None
        stream, self._branch = self._client.stream(), 0
        try:
            self._restore(stream)
        except BaseException:
            stream.close()
            raise
        self._sit(stream)
        self.recoveries += again
        return stream

    def _restore(self, stream: Stream) -> None:
        self._branch = stream.next_branch()
        stream.ask(Open(self._branch, self._keeps_hidden), self._client.timeout)
        before = self.length - self._fresh
        cuts = [*range(0, before, _PIECE), before, self.length]
        for start, end in zip(cuts, cuts[1:], strict=False):
            if start < end:
                part = tuple(self._ledger.since(start)[: end - start])
                stream.ask(Step(self._branch, start, part, False, Answer.NONE, 0, 0), self._client.timeout)

    def _sit(self, stream: Stream) -> None:
        self._stream = stream
        stream.users += 1

    def _logits(self, scores: Scores) -> torch.Tensor:
        return unpack(scores.logits).float()
