from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ianvs_collab.routing import RouterError
from ianvs_collab.routing.traces import TraceRow, read_trace
from ianvs_collab.routing.traces.writer import TraceWriter

Make = Callable[..., TraceRow]


def test_rows_are_on_disk_at_once(row: Make, tmp_path: Path) -> None:
    with TraceWriter.new(tmp_path, {"name": "t", "queries": 2}) as writer:
        writer.append(row("a"))
        assert [r.query_id for r in read_trace(tmp_path, partial=True)] == ["a"]
        writer.append(row("b"))
        writer.finish(ended="now")
    read = read_trace(tmp_path)
    assert ([r.query_id for r in read], read.name, read.provenance) == (["a", "b"], "t", {"ended": "now"})


def test_a_resumed_recording_cuts_a_torn_line_off(row: Make, tmp_path: Path) -> None:
    with TraceWriter.new(tmp_path, {"queries": 3}) as writer:
        writer.append(row("a"))
        writer.append(row("b"))
    path = tmp_path / "trace.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    with TraceWriter.resume(tmp_path) as writer:
        assert [r.query_id for r in writer.rows] == ["a"]
        for name in "bc":
            writer.append(row(name))
    assert [r.query_id for r in read_trace(tmp_path)] == ["a", "b", "c"]


def test_a_recording_killed_before_its_first_row_is_resumed(row: Make, tmp_path: Path) -> None:
    TraceWriter.new(tmp_path, {}).close()
    with TraceWriter.resume(tmp_path) as writer:
        assert writer.rows == []
        writer.append(row("a"))
    assert len(read_trace(tmp_path)) == 1


def test_kill_9_loses_no_row_that_was_appended(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ianvs_collab.routing.traces import Side, TraceRow\n"
        "from ianvs_collab.routing.traces.writer import TraceWriter\n"
        "writer = TraceWriter.new(Path(sys.argv[1]), {})\n"
        "for number in range(10**9):\n"
        "    writer.append(TraceRow(str(number), 'text' * 1000, Side(1), Side(0)))\n"
        "    print(number, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(50):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    told = process.stdout.read().split()
    process.stdout.close()
    process.wait()
    told = [word for word in told if word.isdigit()]
    with TraceWriter.resume(tmp_path) as writer:  # the kernel has released the lock
        assert len(writer.rows) >= (int(told[-2]) if len(told) > 1 else 49)
        assert [r.query_id for r in writer.rows] == [str(n) for n in range(len(writer.rows))]


def test_an_existing_trace_is_not_written_over(row: Make, tmp_path: Path) -> None:
    TraceWriter.new(tmp_path, {}).close()
    with pytest.raises(RouterError, match="holds a trace already; go on with it by --resume"):
        TraceWriter.new(tmp_path, {})


def test_two_recordings_cannot_write_to_one_folder(tmp_path: Path) -> None:
    with (
        TraceWriter.new(tmp_path, {}),
        pytest.raises(RouterError, match="another recording is writing to it"),
    ):
        TraceWriter.resume(tmp_path)


def test_nothing_can_be_resumed_where_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(RouterError, match=r"trace.json: No such file"):
        TraceWriter.resume(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_trace_damaged_in_the_middle_is_not_resumed(row: Make, tmp_path: Path) -> None:
    with TraceWriter.new(tmp_path, {}) as writer:
        writer.append(row("a"))
    path = tmp_path / "trace.jsonl"
    path.write_bytes(b"{\n" + path.read_bytes())
    before = path.read_bytes()
    with pytest.raises(RouterError, match="jsonl:1: not a row"):
        TraceWriter.resume(tmp_path)
    assert path.read_bytes() == before
    path.unlink()
    TraceWriter.resume(tmp_path).close()  # the lock was given back


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RouterError, match="choose another folder with --to"):
        TraceWriter.new(tmp_path / "file", {})


def test_a_full_disk_keeps_whole_rows_alone(row: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = TraceWriter.new(tmp_path, {})
    writer.append(row("a"))
    real, tries = os.write, []

    def full(descriptor: int, content: bytes) -> int:
        tries.append(content)
        if len(tries) == 1:
            return real(descriptor, content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RouterError, match="No space left on device.*go on with --resume"):
        writer.append(row("b"))
    monkeypatch.undo()
    writer.append(row("c"))
    writer.close()
    writer.close()
    assert [r.query_id for r in read_trace(tmp_path)] == ["a", "c"]
