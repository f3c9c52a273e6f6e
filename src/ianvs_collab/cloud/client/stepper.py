"""The `Stepper` of a model in the cloud: its measures, its words, and sessions on the worker."""

from __future__ import annotations

from collections.abc import Sequence

from ianvs_collab.cloud.client.client import Client
from ianvs_collab.cloud.client.session import RemoteSession
from ianvs_collab.cloud.client.traffic import Traffic
from ianvs_collab.cloud.messages.texts import Decode, Encode
from ianvs_collab.modelserver.types import Prompt


class RemoteStepper:
    """Opens sessions on the worker; `CloudServer.stepper()` makes one.

    Args:
        client: The connection.
        dtype: Type in which logits travel.
    """

    def __init__(self, client: Client, dtype: str) -> None:
        self._client, self._dtype = client, dtype
        about = client.capabilities
        self.vocabulary: int = about["vocabulary"]
        self.context: int | None = about["context"]
        self.layers: int = about["layers"]
        self.end_tokens: frozenset[int] = frozenset(about["end_tokens"])

    @property
    def traffic(self) -> Traffic:
        """Bytes and messages of the connection so far."""
        return self._client.traffic

    def encode(self, prompt: Prompt) -> list[int]:
        """Tokens of a prompt, a chat rendered by the model's template; a round trip.

        Raises:
            ModelServerError: If the prompt is empty, or a chat is given and there is no template.
        """
        return list(self._client.ask(Encode(plain(prompt))).tokens)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special ones left out; a round trip.

        Raises:
            ModelServerError: If one is not in the vocabulary.
        """
        text: str = self._client.ask(Decode(tuple(tokens))).text
        return text

    def open(self, *, hidden: bool = False) -> RemoteSession:
        """Begin an empty session, on a stream of its own.

        Args:
            hidden: Whether to keep each call's hidden states.

        Raises:
            StepError: If the worker has too many sessions or cannot be reached.
        """
        return RemoteSession(self._client, hidden, self._dtype).start()


def plain(prompt: Prompt) -> str | list[dict[str, str]]:
    """A prompt as JSON has it."""
    return prompt if isinstance(prompt, str) else [dict(message) for message in prompt]
