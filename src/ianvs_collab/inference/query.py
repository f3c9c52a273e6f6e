"""A live query and a live answer: plain dicts for plug-ins, plus the timeline they share.

Ianvs hands an item of the data set to the hard-example miner, the edge model and the cloud model one after the other,
and a deep copy of the edge's answer to a miner that looks at answers. All of them work on the same request, so all of
them must write to the same timeline: a `Query` is a handle of that request (copying it gives the same handle), and an
`Answer` knows its query.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ianvs_collab.link import Timeline, current_deployment

if TYPE_CHECKING:
    from ianvs_collab.inference.participants import Participant
    from ianvs_collab.privacy.guard import Guard


class Query(dict[str, Any]):
    """One request.

    Keys: `query_id`, `query` (the whole prompt), `messages`, `choices`, `subject`, `language`, `shots`, `extractor`.
    The gold answer is not among them, except for the oracle, which asks its data set processor for it.

    Attributes:
        guard: What a router that protects personal data has found in it, or None.
        latest: The participant that answered last and its answer, so that a router can ask the same model again.
    """

    _timeline: Timeline | None = None
    guard: Guard | None = None
    latest: tuple[Participant, Answer] | None = None

    @property
    def timeline(self) -> Timeline:
        """Clock and diary of this request; it starts when first asked for, under the deployment then in force."""
        if self._timeline is None:
            self._timeline = Timeline(current_deployment(), str(self.get("query_id", "")))
        return self._timeline

    def fresh(self) -> Query:
        """The same question asked anew, with a timeline of its own."""
        return Query(self)

    def __copy__(self) -> Query:
        """A query is a handle: a copy is the same request."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Query:
        """A query is a handle: a copy is the same request."""
        return self

    @classmethod
    def of(cls, data: Any) -> Query:
        """The query behind whatever Ianvs hands over: a query, an answer, another mapping, or a bare prompt."""
        if isinstance(data, cls):
            return data
        if isinstance(data, Answer):
            return data.query
        if isinstance(data, dict):
            return cls(data)
        return cls(query=str(data), messages=[{"role": "user", "content": str(data)}])


class Answer(dict[str, Any]):
    """An answer dict (see `ianvs_collab.answer`) that remembers which request it answers."""

    query: Query

    def __init__(self, content: dict[str, Any], query: Query) -> None:
        super().__init__(content)
        self.query = query

    def __deepcopy__(self, memo: dict[int, Any]) -> Answer:
        """A copy of the content that answers the same request."""
        return Answer(_copy(self), self.query)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles as an answer to a query without its timeline's history."""
        return (Answer, (dict(self), Query(self.query)))


def _copy(value: Any) -> Any:
    """Copy of nested dicts and lists of immutable values; several times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
