"""Drafters beside brute force, and on the nano models."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.modelserver import load_model, resolve_model
from ianvs_collab.modelserver.stepping import Stepper, greedy, open_stepper
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import (
    AlignedDrafter,
    Datastore,
    Drafter,
    ModelDrafter,
    PromptLookup,
    RetrievalDrafter,
    SpeculativeDecoder,
    SpeculativeError,
    SuffixDrafter,
    Tally,
    early_exit,
)
from ianvs_collab.speculative.drafters import FixedPicker
from ianvs_collab.speculative.drafters.automaton import SuffixAutomaton, followed
from ianvs_collab.speculative.drafters.early_exit import _cut
from ianvs_collab.speculative.verification import Greedy
from ianvs_collab.zoo.export import test_questions as nano_questions
from ianvs_collab.zoo.model import ExitHeads

from .toys import ToyStepper, alone

TEXTS = st.lists(st.integers(0, 2), max_size=40)
PICKER = FixedPicker(Greedy())
QUESTIONS = 40
MAX_TOKENS = 24


def drafted(drafter: Drafter, text: list[int], count: int) -> list[int]:
    """What a drafter proposes after a text that came in two pieces."""
    drafter.begin(text[:1], PICKER)
    if text[1:]:
        drafter.commit(text[1:])
    return drafter.draft(count).tokens


def starts(text: list[int], pattern: list[int]) -> list[int]:
    return [i for i in range(len(text) - len(pattern) + 1) if text[i : i + len(pattern)] == pattern]


@given(TEXTS.filter(bool), st.integers(1, 4), st.integers(1, 5))
def test_prompt_lookup_is_a_search_for_the_longest_ngram(text: list[int], longest: int, count: int) -> None:
    expected: list[int] = []
    for size in range(min(longest, len(text) - 1), 0, -1):
        found = [i for i in starts(text, text[-size:]) if i + size < len(text)]
        if found:
            expected = text[found[-1] + size :][:count]
            break
    assert drafted(PromptLookup(longest), text, count) == expected


@given(TEXTS, TEXTS)
def test_the_automaton_finds_the_longest_ending_that_occurs(text: list[int], other: list[int]) -> None:
    automaton = SuffixAutomaton()
    for token in text:
        automaton.extend(token)
    at, matched = followed(automaton, other)
    longest = next(size for size in range(len(other), -1, -1) if starts(text, other[len(other) - size :]))
    assert matched == longest
    if longest:
        first = starts(text, other[len(other) - longest :])[0] + longest
        assert automaton.continuation(at, 3) == text[first : first + 3]


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=3), TEXTS.filter(bool), st.integers(1, 4))
def test_a_suffix_drafter_continues_the_longest_match_of_all_texts(
    earlier: list[list[int]], text: list[int], shortest: int
) -> None:
    drafter = SuffixDrafter(shortest)
    for other in earlier:
        drafted(drafter, other, 3)
    found = drafted(drafter, text, 3)
    own = longest_before_the_end(text)
    history = max(next(n for n in range(len(text), -1, -1) if starts(o, text[len(text) - n :])) for o in earlier)
    if max(own, history) < shortest:
        assert found == []
    elif own >= history:
        start = starts(text, text[len(text) - own :])[0] + own
        assert found == text[start : start + 3]
    else:
        place = next(o for o in earlier if starts(o, text[len(text) - history :]))
        start = starts(place, text[len(text) - history :])[0] + history
        assert found == place[start : start + 3]
    drafter.end()


def longest_before_the_end(text: list[int]) -> int:
    """Longest ending of a text that also ends somewhere before."""
    return next(n for n in range(len(text) - 1, -1, -1) if len(starts(text, text[len(text) - n :])) > 1 or n == 0)


def test_a_history_that_is_full_begins_anew() -> None:
    drafter = SuffixDrafter(1, history=6)
    drafted(drafter, [1, 2, 3], 3)
    assert drafted(drafter, [9, 1], 2) == [2, 3]
    drafted(drafter, [4, 5, 6, 4], 3)  # 3 + 1 + 2 + 1 + 4 tokens are too many
    assert drafted(drafter, [9, 1], 2) == []
    nothing = SuffixDrafter(1, history=0)
    drafted(nothing, [1, 2, 3], 3)
    assert drafted(nothing, [9, 1], 2) == []


@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS.filter(bool), st.integers(1, 5))
def test_retrieval_takes_the_most_frequent_continuation(corpus: list[list[int]], text: list[int], count: int) -> None:
    if not any(corpus):
        with pytest.raises(SpeculativeError, match="no tokens"):
            Datastore(corpus)
        return
    found = drafted(RetrievalDrafter(Datastore(corpus), 4, 1), text, count)
    for size in range(4, 0, -1):
        pattern = text[-size:]
        after = [o[i + len(pattern) :] for o in corpus for i in starts(o, pattern)]
        best = most_frequent(after, count)
        if best:
            assert found == best
            return
    assert found == []


def most_frequent(places: list[list[int]], count: int) -> list[int]:
    tokens: list[int] = []
    for _ in range(count):
        following = Counter(place[0] if place else -1 for place in places)
        token = min(following, key=lambda kind: (-following[kind], kind), default=-1)
        if token == -1:
            break
        tokens.append(token)
        places = [place[1:] for place in places if place and place[0] == token]
    return tokens


def test_settings_are_checked() -> None:
    with pytest.raises(SpeculativeError, match="shortest >= 1 and history >= 0"):
        SuffixDrafter(0)
    with pytest.raises(SpeculativeError, match="1 <= shortest <= longest"):
        RetrievalDrafter(Datastore([[1]]), 2, 3)
    with pytest.raises(SpeculativeError, match="backend: transformers"):
        early_exit(ToyStepper(), 1)


@pytest.mark.parametrize("drafter", [SuffixDrafter(1), RetrievalDrafter(Datastore([[1, 2, 3, 4, 5, 6, 1, 0]]), 3, 1)])
def test_finders_do_not_change_what_the_target_says(drafter: Drafter) -> None:
    target = ToyStepper(ends=(7,))
    for seed in range(20):
        params = SamplingParams(temperature=1.0, seed=seed, max_tokens=25)
        decoding = SpeculativeDecoder(target, drafter, mode="gumbel").decode_tokens([seed % 7, 2], params)
        assert decoding.tokens == alone(target, "gumbel", [seed % 7, 2], params)


@pytest.fixture(scope="module")
def target() -> Iterator[Stepper]:
    server = load_model("transformers", "zoo:cloud")
    yield open_stepper(server)
    server.close()


@pytest.fixture(scope="module")
def edge() -> Iterator[Stepper]:
    server = load_model("transformers", "zoo:edge")
    yield open_stepper(server)
    server.close()


@pytest.fixture(scope="module")
def asked(target: Stepper) -> list[tuple[str, list[int], list[int]]]:
    """Questions, their tokens, and the target's own greedy answers."""
    rows = []
    for question in nano_questions()[:QUESTIONS]:
        prompt = target.encode([{"role": "user", "content": question.prompt}])
        with target.open() as session:
            rows.append((question.prompt, prompt, greedy(session, prompt, MAX_TOKENS, target.end_tokens)))
    return rows


def test_greedy_answers_of_the_nano_models_are_the_targets(
    target: Stepper, edge: Stepper, asked: list[tuple[str, list[int], list[int]]]
) -> None:
    drafter = ModelDrafter(edge, target.vocabulary, end_tokens=target.end_tokens)
    decoder, tally = SpeculativeDecoder(target, drafter), Tally()
    up = down = 0
    for _, prompt, expected in asked:
        decoding = decoder.decode_tokens(prompt, SamplingParams(max_tokens=MAX_TOKENS))
        # A margin within rounding of nought would excuse another token; these questions have none.
        assert min(decoding.margins) > 1e-4
        assert decoding.tokens == expected
        tally.add(decoding.tally)
        up, down = up + decoding.meter.uplink_bytes, down + decoding.meter.downlink_bytes
    assert tally.acceptance is not None and tally.acceptance > 0.8
    assert up <= 8 * tally.committed
    assert down <= 4 * tally.committed


def test_the_targets_first_layers_draft_for_it(target: Stepper, asked: list[tuple[str, list[int], list[int]]]) -> None:
    trained, lens = early_exit(target, 8), early_exit(target, 9)  # there is an exit head after 8 layers
    assert (lens.layers, lens.vocabulary, lens.context) == (9, target.vocabulary, target.context)
    _, prompt, _ = asked[0]
    heads = ExitHeads.load(Path(resolve_model("zoo:cloud")))
    with target.open(hidden=True) as session, trained.open() as short, torch.no_grad():
        session.prefill(prompt)
        logits = short.prefill(prompt)
        with target.engine.at_work() as model:  # type: ignore[attr-defined]
            expected = heads(session.hidden(8)[-1], 8, model.lm_head)
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-4)
    accepted = []
    for stepper in (trained, lens):
        drafter, tally = ModelDrafter(stepper, target.vocabulary, end_tokens=target.end_tokens), Tally()
        for _, prompt, answer in asked[:6]:
            decoding = SpeculativeDecoder(target, drafter).decode_tokens(prompt, SamplingParams(max_tokens=MAX_TOKENS))
            assert decoding.tokens == answer
            tally.add(decoding.tally)
        accepted.append(tally.acceptance or 0)
    assert accepted[0] > 0.5
    for layers in (0, 12):
        with pytest.raises(SpeculativeError, match="an early exit is after 1 to 11"):
            early_exit(target, layers)


def test_a_model_without_such_layers_has_no_early_exit() -> None:
    with pytest.raises(SpeculativeError, match="Linear has no decoder"):
        _cut(torch.nn.Linear(2, 2), 1, 2)


def test_a_draft_model_with_another_tokenizer_meets_the_target_in_the_text(
    target: Stepper, edge: Stepper, asked: list[tuple[str, list[int], list[int]]]
) -> None:
    drafter = AlignedDrafter(edge, target, ratio=1.2)
    tally = Tally()
    for text, prompt, expected in asked[:8]:
        decoding = SpeculativeDecoder(target, drafter).decode_tokens(
            prompt, SamplingParams(max_tokens=MAX_TOKENS), prompt=[{"role": "user", "content": text}]
        )
        assert decoding.tokens == expected
        tally.add(decoding.tally)
    assert (tally.acceptance or 0) > 0.5


class Lettered(ToyStepper):
    """A toy whose tokens are letters, two each: `ab` is token 0, `cd` token 1, ..., behind a token of its own."""

    def encode(self, prompt: object) -> list[int]:
        assert isinstance(prompt, str)
        return [7, *(("abcdefghijklmz".index(letter)) // 2 for letter in prompt[::2])]

    def decode(self, tokens: object) -> str:
        return "".join("abcdefghijklmz"[2 * token : 2 * token + 2] for token in tokens if token < 7)  # type: ignore[attr-defined]


class Single(ToyStepper):
    """The same letters, one a token, behind a token of its own."""

    def encode(self, prompt: object) -> list[int]:
        assert isinstance(prompt, str)
        return [14, *map("abcdefghijklmz".index, prompt)]

    def decode(self, tokens: object) -> str:
        return "".join("abcdefghijklmz"[token] for token in tokens if token < 14)  # type: ignore[attr-defined]


def test_alignment_drops_what_tokenizers_put_in_front() -> None:
    target, draft = Lettered(8), Single(15, context=40)
    draft.table[:] = 0
    for letter in range(14):  # writes the alphabet
        draft.table[:, letter, (letter + 1) % 14] = 9
    drafter = AlignedDrafter(draft, target, ratio=2)
    drafter.begin(target.encode("abcd"), PICKER)
    assert drafter.draft(2).tokens == [2, 3]  # efgh
    drafter.commit([2, 5])  # ef kl, where ef gh was drafted
    assert drafter.draft(2).tokens == [6, 0]  # mz ab
    drafter.commit([6, 0, 1, 2])
    # The prompt, ef kl, and what was written after it but for its last letter.
    assert draft.opened[0].length == 5 + 4 + 3
    assert drafter.draft(1).tokens == [3]
    drafter.commit([3] * 20)  # beyond the draft model's context
    assert drafter.draft(2).tokens == []
    drafter.end()
    drafter.end()


def test_the_example_of_the_reference_runs(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (repository / "docs" / "reference" / "speculative.md").read_text(encoding="utf-8")
    example, _ = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)  # the other one needs a worker
    names: dict[str, Any] = {}
    exec(example, names)
    assert "Paris" in capsys.readouterr().out
    assert names["timeline"].now > 0.05
