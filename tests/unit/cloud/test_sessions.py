"""Sessions on a worker against sessions in this process: the same whatever is done to them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ianvs_collab.cloud.client.server import CloudServer
from ianvs_collab.cloud.client.session import RemoteSession
from ianvs_collab.cloud.client.stepper import RemoteStepper
from ianvs_collab.cloud.errors import CloudError, LimitError
from ianvs_collab.cloud.server.limits import Limits
from ianvs_collab.modelserver import ModelServer, ModelServerError, StepError, open_stepper
from ianvs_collab.modelserver.stepping import Stepper, greedy

TEXT = [3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 32, 38]
CHATS = [
    [{"role": "user", "content": f"What is {number} + {number * 7 % 31}?"}] for number in range(8)
] + ["The capital of France is", "日本の首都は"]  # fmt: skip


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.fixture
def stepper(remote: CloudServer) -> RemoteStepper:
    return remote.stepper()


@pytest.fixture
def own(local: ModelServer) -> Stepper:
    return open_stepper(local)


TOKENS_ = st.lists(st.integers(0, 400), min_size=1, max_size=6)
DEEDS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.one_of(
            st.tuples(st.sampled_from(["step", "prefill", "argmax", "top"]), TOKENS_),
            st.tuples(st.just("rollback"), st.integers(0, 9)),
            st.tuples(st.sampled_from(["fork", "hidden", "lose", "close"]), st.integers(0, 2)),
        ),
    ),
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=DEEDS, hidden=st.booleans())
def test_any_order_of_deeds_is_as_in_this_process(
    stepper: RemoteStepper, own: Stepper, worker: Any, deeds: list, hidden: bool
) -> None:
    with ExitStack() as opened:
        pairs = [(opened.enter_context(stepper.open(hidden=hidden)), own.open(hidden=hidden))]
        for which, (deed, given_) in deeds:
            far, near = pairs[which % len(pairs)]
            if deed == "fork":
                pairs.append((opened.enter_context(far.fork()), near.fork()))
            elif deed == "close" and len(pairs) > 1:
                pairs.remove((far, near))
                far.close()
            else:
                do_both(far, near, deed, given_)
            assert (far.length, far.tokens) == (near.length, near.tokens)
        for far, near in pairs:
            close(far.step([1]), near.step([1]))
    worker.settles()


def do_both(far: RemoteSession, near: Any, deed: str, given_: Any) -> None:
    """The same to two sessions; and it has the same effect."""
    if deed == "lose":
        assert far._stream is not None
        far._stream.close()  # as if the link had broken
    elif deed == "rollback":
        for session in (far, near):
            session.rollback(min(given_, near.length))
    elif deed == "hidden" and far._keeps_hidden and far._fresh:
        close(far.hidden(given_), near.hidden(given_))
    elif deed in ("step", "prefill"):
        close(getattr(far, deed)(given_), getattr(near, deed)(given_))
    elif deed == "argmax":
        assert far.step_argmax(given_) == near.step(given_).argmax(-1).tolist()
    elif deed == "top":
        ids, logits = far.step_top(given_, 3)
        expected = near.step(given_).topk(3)
        close(logits, expected.values)
        assert torch.equal(ids, expected.indices)


def test_greedy_decoding_is_as_in_this_process(stepper: RemoteStepper, own: Stepper) -> None:
    assert (stepper.vocabulary, stepper.context, stepper.layers) == (own.vocabulary, own.context, own.layers)
    assert stepper.end_tokens == own.end_tokens
    for chat in CHATS:
        prompt = own.encode(chat)
        assert stepper.encode(chat) == prompt
        with stepper.open() as far, own.open() as near:
            found = greedy(far, prompt, 24, stepper.end_tokens)
            assert found == greedy(near, prompt, 24, own.end_tokens)
        assert stepper.decode(found) == own.decode(found)


def test_a_long_prompt_is_computed_in_parts(serve: Any, connect: Callable[..., CloudServer], own: Stepper) -> None:
    worker = serve(Limits(chunk=5))
    seen: list[int] = []
    make = worker.host.stepper.open

    def watched(*, hidden: bool = False) -> Any:
        session = make(hidden=hidden)
        prefill = session.prefill
        session.prefill = lambda tokens: (seen.append(len(tokens)), prefill(tokens))[1]
        return session

    stepper = connect(worker.address).stepper()
    worker.host.stepper = SimpleNamespace(open=watched, vocabulary=own.vocabulary)
    for hidden, parts in ((False, [5, 5, 3]), (True, [13])):
        seen.clear()
        with stepper.open(hidden=hidden) as far, own.open() as near:
            close(far.prefill(TEXT), near.prefill(TEXT))
        assert seen == parts


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_logits_travel_in_the_precision_asked_for(
    worker: Any, connect: Callable[..., CloudServer], own: Stepper, dtype: str
) -> None:
    session, near = connect(worker.address, logits=dtype).stepper().open(), own.open()
    found, expected = session.step(TEXT), near.step(TEXT)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected.to(getattr(torch, dtype)).float())
    assert session.cost is not None
    assert session.cost.received_bytes < 2 * len(TEXT) * own.vocabulary + 60


def test_shorter_answers_are_fewer_bytes(stepper: RemoteStepper, own: Stepper) -> None:
    with stepper.open(hidden=True) as session:
        received = []
        for deed in (session.step, lambda text: session.step_top(text, 5), session.step_argmax):
            deed(TEXT)
            received.append(session.cost.received_bytes)
        rows = len(TEXT)
        for bytes_, content in zip(received, (rows * own.vocabulary * 4, rows * 5 * 6, rows * 2), strict=True):
            assert content < bytes_ < content + 45
        assert session.cost.sent_bytes < 45 + 2 * rows
        assert session.hidden(1, "bfloat16").dtype == torch.bfloat16
        assert session.hidden(1).dtype == torch.float32


def test_a_rollback_sends_nothing(stepper: RemoteStepper) -> None:
    with stepper.open() as session:
        session.step(TEXT)
        before = stepper.traffic.sent
        session.rollback(5)
        assert stepper.traffic.sent == before
        assert session.length == len(TEXT) - 5


def test_what_a_request_took_is_told(remote: CloudServer) -> None:
    session = remote.stepper().open()
    traffic = (remote.traffic.sent_bytes, remote.traffic.received_bytes)
    session.step(TEXT)
    cost = session.cost
    assert cost is not None
    assert 0 < cost.compute_s < cost.elapsed_s
    assert cost.queued_s >= 0
    assert cost.network_s == pytest.approx(cost.elapsed_s - cost.compute_s - cost.queued_s)
    assert remote.traffic.sent_bytes - traffic[0] == cost.sent_bytes
    assert remote.traffic.received_bytes - traffic[1] == cost.received_bytes


def test_compressed_answers_are_the_same(
    worker: Any, connect: Callable[..., CloudServer], own: Stepper, remote: CloudServer
) -> None:
    packed, plain = connect(worker.address, zstd=True).stepper().open(), remote.stepper().open()
    near = own.open()
    near.step(TEXT)
    for session in (packed, plain):
        close(session.step(TEXT * 20), own.open().step(TEXT * 20))
    assert packed.cost.received_bytes < plain.cost.received_bytes
    assert packed.cost.sent_bytes < plain.cost.sent_bytes


def test_what_is_refused_leaves_the_session_as_it_was(stepper: RemoteStepper, own: Stepper) -> None:
    far, near = stepper.open(hidden=True), own.open(hidden=True)
    for session in (far, near):
        session.prefill(TEXT)
        session.rollback(2)
    for deed, given_ in (
        ("step", []),
        ("prefill", ()),
        ("step", [5, own.vocabulary]),
        ("step", [-1]),
        ("step", [1] * own.context),
        ("rollback", 14),
        ("rollback", -1),
        ("hidden", 99),
        ("hidden", -1),
    ):
        said = []
        for session in (far, near):
            with pytest.raises(StepError) as told:
                getattr(session, deed)(given_)
            said.append(str(told.value))
        assert said[0] == said[1]
    close(far.step([1, 2]), near.step([1, 2]))


def test_hidden_states_that_are_not_there(stepper: RemoteStepper) -> None:
    with pytest.raises(StepError, match=r"keeps no hidden states; open it with `open\(hidden=True\)`"):
        stepper.open().hidden(0)
    with stepper.open(hidden=True) as session:
        with pytest.raises(StepError, match="nothing was appended yet, or all of it was rolled back"):
            session.hidden(0)
        session.prefill(TEXT)
        session.rollback(len(TEXT))
        with pytest.raises(StepError, match="all of it was rolled back"):
            session.hidden(0)


@pytest.mark.parametrize("deed", ["step", "prefill", "rollback", "fork", "hidden"])
def test_a_closed_session_does_nothing(stepper: RemoteStepper, worker: Any, deed: str) -> None:
    with stepper.open(hidden=True) as session:
        session.prefill(TEXT)
        twin = session.fork()
    session.close()
    worker.settles(1)
    arguments = {"step": [[1]], "prefill": [[1]], "rollback": [0], "fork": [], "hidden": [0]}[deed]
    with pytest.raises(StepError, match="session of model 'zoo:edge' is closed; open another one"):
        getattr(session, deed)(*arguments)
    assert twin.step([1]).shape == (1, stepper.vocabulary)
    twin.close()
    worker.settles()


def test_a_closed_connection_says_so(worker: Any, connect: Callable[..., CloudServer]) -> None:
    server = connect(worker.address)
    stepper, session = server.stepper(), server.stepper().open()
    server.close()
    server.close()
    for deed in (server.stepper, stepper.open, lambda: session.step([1]), lambda: stepper.encode("a"), server.stats):
        with pytest.raises(CloudError, match="is closed; load the model again"):
            deed()
    session.close()
    worker.settles()


def test_a_session_that_is_forgotten_is_freed(stepper: RemoteStepper, worker: Any) -> None:
    session = stepper.open()
    twin = session.fork()
    worker.settles(2)
    del session
    assert twin.step([1]).shape[0] == 1
    del twin
    worker.settles()


def test_a_fork_is_closed_while_the_stream_is_broken(stepper: RemoteStepper, worker: Any) -> None:
    with stepper.open() as session:
        session.prefill(TEXT)
        with session.fork():
            assert session._stream is not None
            session._stream.close()
        assert session.step([1]).shape[0] == 1
        assert session.recoveries == 1
    worker.settles()


def test_sessions_are_counted(serve: Any, connect: Callable[..., CloudServer]) -> None:
    worker = serve(Limits(sessions=3, sessions_per_client=2))
    server = connect(worker.address)
    stepper = server.stepper()
    first, second = stepper.open(), stepper.open()
    for deed in (stepper.open, first.fork, lambda: server.generate("a")):
        with pytest.raises(LimitError, match=r"this client has 2 sessions open, as many as are allowed"):
            deed()
    assert isinstance(LimitError("x"), StepError)
    first.prefill(TEXT)
    second.close()
    worker.settles(1)
    with first.fork() as twin:
        twin.step([1])
    worker.settles(1)
    worker.host.census.enter("somebody else")
    worker.host.census.enter("somebody else")
    with pytest.raises(LimitError, match="the worker has 3 sessions open"):
        stepper.open()
    worker.host.census.leave("somebody else")
    worker.host.census.leave("somebody else")
    stats = server.stats()
    assert (stats["sessions"], stats["clients"]) == (1, 1)
    assert stats["rss_bytes"] > 2**20
    assert stats["requests"] > 5
    assert stats["uptime_s"] > 0


def test_a_failed_session_is_not_counted(
    serve: Any, connect: Callable[..., CloudServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = serve()
    server = connect(worker.address)
    session = server.stepper().open()

    def fail(*_: Any, **__: Any) -> Any:
        raise MemoryError("no room")

    monkeypatch.setattr(worker.host.stepper.__class__, "open", fail)
    with pytest.raises(CloudError, match="the worker failed: MemoryError: no room; its log has more"):
        server.stepper().open()
    monkeypatch.undo()
    worker.settles(1)
    assert session.step([1]).shape[0] == 1


def test_a_model_without_steps_is_refused(serve: Any, scripted: Any) -> None:
    with pytest.raises(ModelServerError, match="cannot be driven token by token"):
        serve(model=scripted())
