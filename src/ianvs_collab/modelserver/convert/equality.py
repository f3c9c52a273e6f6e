"""Does a converted model say what its checkpoint says? Greedy completions compared, token by token.

Two implementations never round alike, so where two tokens are almost equally probable they may part, and after that the
texts are different ones. What tells rounding from a mistake is the gap: by how much the reference preferred its own
token, at the first place where the two differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ianvs_collab.modelserver.stepping import open_stepper
from ianvs_collab.modelserver.types import ModelServer, ModelServerError, Prompt, SamplingParams


@dataclass(frozen=True)
class Divergence:
    """Where a completion first differs from the reference's.

    Attributes:
        prompt: Number of the prompt, from 0.
        position: Number of the token in the completion, from 0.
        expected: The reference's token.
        found: The other model's token; None if its completion had ended.
        gap: The reference's logit of its own token minus that of the other's, natural units; None without another.
        prompts_differ: Whether already the prompt has other tokens, which no rounding explains.
    """

    prompt: int
    position: int
    expected: int | None
    found: int | None
    gap: float | None
    prompts_differ: bool = False


@dataclass(frozen=True)
class Comparison:
    """How two models answered the same prompts.

    Attributes:
        prompts: How many there were.
        tokens: Tokens of the reference's completions.
        divergences: The completions that differ, each at its first difference.
    """

    prompts: int
    tokens: int
    divergences: tuple[Divergence, ...]

    def __str__(self) -> str:
        """One line: how many are equal, and the first and the worst difference."""
        line = f"{self.prompts - len(self.divergences)} of {self.prompts} completions equal ({self.tokens} tokens)"
        if self.divergences:
            first = self.divergences[0]
            gaps = [other.gap for other in self.divergences if other.gap is not None]
            line += f"; first at prompt {first.prompt}, token {first.position}: {first.expected} became {first.found}"
            line += f"; logit gap there {first.gap}, largest {max(gaps, default=None)}"
        return line


def compare_greedy(
    reference: ModelServer, model: ModelServer, prompts: Sequence[Prompt], max_tokens: int = 32
) -> Comparison:
    """Compare the greedy completions of two models with one vocabulary.

    Args:
        reference: A model with a step interface, e.g. of the back-end `transformers`.
        model: The model to check.
        prompts: What to ask.
        max_tokens: Longest completion.

    Raises:
        ModelServerError: If one of them does not answer, or does not tell token ids.
    """
    params = SamplingParams(max_tokens=max_tokens)
    tokens, found = 0, []
    for number, prompt in enumerate(prompts):
        expected_answer, answer = reference.generate(prompt, params), model.generate(prompt, params)
        expected, other = expected_answer.token_ids, answer.token_ids
        if expected is None or other is None:
            raise ModelServerError("completions can be compared only between back-ends that tell token ids")
        tokens += len(expected)
        if expected_answer.prompt_tokens != answer.prompt_tokens:
            found.append(Divergence(number, 0, None, None, None, prompts_differ=True))
        elif expected != other:
            found.append(_divergence(reference, number, prompt, expected, other))
    return Comparison(len(prompts), tokens, tuple(found))


def _divergence(
    reference: ModelServer, number: int, prompt: Prompt, expected: Sequence[int], other: Sequence[int]
) -> Divergence:
    pairs = zip(expected, other, strict=False)
    at = next((at for at, pair in enumerate(pairs) if pair[0] != pair[1]), min(len(expected), len(other)))
    mine, theirs = (ids[at] if at < len(ids) else None for ids in (expected, other))
    gap = None
    if mine is not None and theirs is not None:
        stepper = open_stepper(reference)
        with stepper.open() as session:
            logits = session.prefill([*stepper.encode(prompt), *expected[:at]])
        gap = float(logits[mine] - logits[theirs])
    return Divergence(number, at, mine, theirs, gap)
