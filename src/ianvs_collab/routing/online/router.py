"""The lifelong router: an Ianvs hard-example miner that learns from what users say of the answers they were shown.

    modules:
      - type: "dataset_processor"
        name: "FeedbackQueryProcessor"
      - type: "hard_example_mining"
        name: "LifelongRouter"
        hyperparameters:
          - train_data: {values: ["data/warm_up"]}
          - policy: {values: ["lin-ucb", "thompson", "epsilon-greedy"]}
          - learns: {values: [true, false]}

Before each decision it listens to the users of earlier queries. Its draws depend on its seed and the query's id alone,
and `replay` relives recorded queries, so a resumed run decides as an uninterrupted one.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing.base import Router, RouterError
from ianvs_collab.routing.online.bandits import LinUCB, ThompsonSampling
from ianvs_collab.routing.online.epsilon import EpsilonGreedy
from ianvs_collab.routing.online.features import FeatureMap
from ianvs_collab.routing.online.feedback import NEVER_SHOWN, FeedbackQuery
from ianvs_collab.routing.online.pacing import Pacer
from ianvs_collab.routing.online.policy import Context, Decision, OnlinePolicy
from ianvs_collab.routing.scorer import Input, make_scorer
from ianvs_collab.routing.traces import Trace, read_trace

POLICIES: dict[str, type[OnlinePolicy]] = {
    "lin-ucb": LinUCB,
    "thompson": ThompsonSampling,
    "epsilon-greedy": EpsilonGreedy,
}


class LifelongRouter(Router):
    """Learns on the way which queries the cloud is worth.

    Args:
        train_data: Folder of a trace (`trace.jsonl`) to warm up with, disjoint from the test data.
        start_from: Folder that `save_to` of an earlier run filled, instead of a trace.
        save_to: Folder in which to keep, at the end, what was learned.
        policy: `lin-ucb`, `thompson` or `epsilon-greedy`.
        learns: False gives the frozen twin: it neither explores nor learns, but keeps to the budget in the same way.
        cloud_share: Share of queries that should go to the cloud.
        rate: How fast the price of the cloud follows the budget.
        at_most: Take the share as a limit: queries that the cloud is expected to spoil stay at the edge.
        components: Dimensions of the text's features.
        scorer: Name of the scorer of `epsilon-greedy`.
        seed: Of projection and exploration.
        **settings: The policy's: `exploration`, `ridge`, `discount`, `epsilon`, `every`, `window`, `floor`.

    Raises:
        RouterError: If a setting is unknown or out of range, or the folder cannot be read.
    """

    def __init__(
        self,
        *,
        train_data: str | None = None,
        start_from: str | None = None,
        save_to: str | None = None,
        policy: str = "lin-ucb",
        learns: bool = True,
        cloud_share: float = 0.4,
        rate: float = 0.005,
        at_most: bool = False,
        components: int = 48,
        scorer: str | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(threshold=0.0)
        pacer = Pacer(cloud_share, rate, at_most=at_most)
        self.policy = make_policy(policy, scorer, pacer=pacer, **settings)
        self._seed = seed
        self._save_to = _other_folder(save_to, start_from)
        self._pending: deque[tuple[FeedbackQuery, Context, Decision]] = deque()
        if (train_data is None) == (start_from is None):
            raise RouterError("LifelongRouter needs either train_data (a trace) or start_from (what a run saved)")
        if start_from is not None:
            self.features = FeatureMap.load(Path(start_from))
            self.policy.restore(Path(start_from))
        else:
            self.features = FeatureMap(components=components, seed=seed)
            self._warm_up(read_trace(str(train_data)))
        self.policy.frozen = not learns

    def score(self, data: Input) -> float:
        """Quality that the cloud is expected to gain, less its present price."""
        return self.policy.advantage(self._context(data)) - self.policy.pacer.price

    def __call__(self, data: Any) -> bool:
        """Listen to earlier users, then decide: True for the cloud.

        Raises:
            RouterError: If the queries have no users, or the policy needs the edge's answer and there is none.
        """
        given = data if isinstance(data, Query | Answer) else Query.of(data)
        started = time.perf_counter()
        self._listen()
        decision = self._decide(given)
        Query.of(given).timeline.compute("edge", time.perf_counter() - started, "route")
        return bool(decision.action)

    def replay(self, data: Any, result: Any) -> None:
        """Relive a recorded query of an interrupted run: decide, and let its user see what was answered.

        Raises:
            RouterError: If the recorded route is not what this router decides.
        """
        query, answer = Query.of(data), result[1]
        failed = not isinstance(answer, Mapping) or answer.get("outcome") in NEVER_SHOWN
        if failed and self.policy.reads_answer:
            return  # the edge did not answer, so the router was not asked
        self._listen()
        decision = self._decide(Answer(result[2], query) if self.policy.reads_answer else query)
        if failed:
            return
        if bool(result[0]) != bool(decision.action):
            raise RouterError(
                f"query {query.get('query_id')!r} was routed otherwise before the interruption: run again without "
                "--resume"
            )
        if isinstance(query, FeedbackQuery):
            query.user.see(answer)

    def cleanup(self) -> None:
        """Listen to the last users, and keep what was learned if asked to."""
        self._listen()
        if self._save_to is not None:
            self.save(self._save_to)

    def save(self, folder: str | Path) -> None:
        """Write all that was learned into a folder, which is made."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.features.save(path)
        self.policy.save(path)

    def _warm_up(self, trace: Trace) -> None:
        inputs = trace.inputs(self.policy.reads_answer)
        vectors = self.features.fit(inputs).transform(inputs)
        contexts = [Context(vector, data) for vector, data in zip(vectors, inputs, strict=True)]
        self.policy.warm_up(contexts, np.column_stack([trace.quality("edge"), trace.quality("cloud")]))

    def _context(self, data: Input) -> Context:
        if self.policy.reads_answer and not isinstance(data, Answer):
            raise RouterError(
                "this policy looks at the edge's answer: set hard_example_mining_mode: inference-then-mining"
            )
        return Context(self.features.transform([data])[0], data)

    def _decide(self, data: Input) -> Decision:
        query = Query.of(data)
        context = self._context(data)
        name = str(query.get("query_id") or query.get("query"))
        decision = self.policy.decide(context, np.random.default_rng([self._seed, zlib.crc32(name.encode())]))
        if isinstance(query, FeedbackQuery):
            query.routing = decision._asdict()
            if isinstance(data, Answer):
                data["routing"] = query.routing  # the edge's answer was made before it was routed
            self._pending.append((query, context, decision))
        elif not self.policy.frozen:
            raise RouterError(
                "LifelongRouter learns from users, and these queries have none: name FeedbackQueryProcessor as the "
                "algorithm's dataset_processor, or set learns: false"
            )
        return decision

    def _listen(self) -> None:
        while self._pending and not self._pending[0][0].user.waiting:
            query, context, decision = self._pending.popleft()
            reward = query.user.feedback()
            if reward is not None:
                self.policy.update(context, decision, reward)


def make_policy(name: str, scorer: str | None = None, **settings: Any) -> OnlinePolicy:
    """Make a policy that has learned nothing yet.

    Args:
        name: A key of `POLICIES`.
        scorer: Name of the scorer, for `epsilon-greedy` only.
        **settings: The policy's.

    Raises:
        RouterError: If there is no such policy, or it has no such setting.
    """
    if name not in POLICIES:
        raise RouterError(f"there is no policy {name!r}; there are: {', '.join(POLICIES)}")
    if scorer is not None:
        settings["scorer"] = make_scorer(scorer)
    known = set(POLICIES[name].__dataclass_fields__)
    for setting in settings:
        if setting not in known:
            raise RouterError(f"policy {name!r} has no setting {setting!r}; it has: {', '.join(sorted(known))}")
    return POLICIES[name](**settings)


def _other_folder(save_to: str | None, start_from: str | None) -> str | None:
    if save_to is not None and start_from is not None and Path(save_to).resolve() == Path(start_from).resolve():
        raise RouterError(
            f"save_to and start_from are both {save_to!r}: a resumed run would start from what it had learned itself; "
            "name another folder"
        )
    return save_to
