"""The command line: exit statuses, last lines, and options that reach what they are for."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

import ianvs_collab
from ianvs_collab.cli import main
from ianvs_collab.job.lock import locked

Capture = pytest.CaptureFixture[str]
RUN = ["-f", "job.yaml", "--quiet"]


def last_line(capture: Capture) -> str:
    return capture.readouterr().err.rstrip().splitlines()[-1]


def status(*arguments: str) -> int:
    """The exit status, whether returned or raised by argparse."""
    try:
        return main(arguments)
    except SystemExit as exit_:
        assert isinstance(exit_.code, int)
        return exit_.code


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_the_version_is_printed(flag: str, capsys: Capture) -> None:
    assert status(flag) == 0
    assert capsys.readouterr().out == f"{ianvs_collab.__version__}\n"
    assert ianvs_collab.__version__ == "0.1.0"


def test_help_is_printed_on_stdout(capsys: Capture) -> None:
    assert status("-h") == 0
    assert "--benchmarking_config_file" in capsys.readouterr().out


def test_without_arguments_help_is_printed_on_stderr(capsys: Capture) -> None:
    assert status() == 1
    out, err = capsys.readouterr()
    assert (out, "--benchmarking_config_file" in err) == ("", True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--unknown"],
        ["stray"],
        ["-f", "job.yaml", "stray"],
        ["--dry-run"],
        ["-f", "job.yaml", "--limit", "0"],
        ["-f", "job.yaml", "--limit", "x"],
        ["-f", "job.yaml", "--limit"],
        ["-f", "job.yaml", "--jobs", "0"],
        ["-f", "job.yaml", "--seed", "-1"],
        ["-f", "job.yaml", "--seed", str(2**32)],
        ["-f", "job.yaml", "--max-errors", "1.5"],
        ["-f", "job.yaml", "--max-errors", "-1"],
        ["-f", "job.yaml", "--max-errors", "many"],
        ["-f", "job.yaml", "--max-errors", "nan"],
        ["-f", "job.yaml", "--max-errors", "inf"],
        ["-f", "job.yaml", "--verbose", "--quiet"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_argparse_s_business(arguments: list[str], capsys: Capture) -> None:
    assert status(*arguments) == 2
    assert capsys.readouterr().err.startswith("usage: ianvs")


def test_a_missing_file_is_told_in_one_line(capsys: Capture) -> None:
    assert status("-f", "none.yaml") == 1
    assert capsys.readouterr().err == "not found benchmarking config(none.yaml) file in local\n"


def test_a_folder_is_no_file(tmp_path: Path, capsys: Capture) -> None:
    assert status("-f", str(tmp_path)) == 1
    assert capsys.readouterr().err == f"not found benchmarking config({tmp_path}) file in local\n"


def test_f_without_a_value_is_a_type_error(capsys: Capture) -> None:
    assert status("-f") == 1
    assert last_line(capsys) == (
        "RuntimeError: benchmarkingjob runs failed, error: "
        "stat: path should be string, bytes, os.PathLike or integer, not NoneType."
    )


@pytest.mark.parametrize("flag", ["-f", "--benchmarking_config_file"])
def test_a_job_is_run(folder: Any, flag: str, capsys: Capture) -> None:
    assert status(flag, "job.yaml") == 0
    out, err = capsys.readouterr()
    assert "| rank |" in out
    assert err.rstrip().endswith("benchmarkingjob runs successfully.")
    assert Path("workspace/demo/rank/all_rank.csv").is_file()


def test_quiet_means_results_only(folder: Any, capsys: Capture) -> None:
    assert status(*RUN) == 0
    out, err = capsys.readouterr()
    assert "| rank |" in out
    assert "INFO" not in err
    assert logging.getLogger("ianvs").level == logging.INFO


def test_warnings_are_told_before_the_job_runs(folder: Any, capsys: Capture) -> None:
    folder.edit("job.yaml", "name: demo", "nam: demo")
    assert status(*RUN) == 0
    assert "job.yaml:2: benchmarkingjob.nam: unknown key 'nam'" in capsys.readouterr().err
    assert Path("workspace/rank/all_rank.csv").is_file()


def test_strict_takes_them_for_errors(folder: Any, capsys: Capture) -> None:
    folder.edit("job.yaml", "name: demo", "nam: demo")
    assert status(*RUN, "--strict") == 1
    assert last_line(capsys).startswith(
        "RuntimeError: benchmarkingjob runs failed, error: job.yaml:2: benchmarkingjob.nam: unknown key 'nam'"
    )
    assert not Path("workspace").exists()


def test_one_problem_is_told_once_without_a_traceback(folder: Any, capsys: Capture) -> None:
    folder.edit("testenv.yaml", "./test.jsonl", "./none.jsonl")
    assert status(*RUN) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "RuntimeError: benchmarkingjob runs failed, error: ./testenv.yaml:4: testenv.dataset.test_data:"
    )
    assert line.endswith("correct the path.")


def test_several_problems_are_listed_with_the_warnings(folder: Any, capsys: Capture) -> None:
    folder.edit("testenv.yaml", "./test.jsonl", "./none.jsonl")
    folder.edit("testenv.yaml", "./train.jsonl", "./none.jsonl")
    folder.edit("job.yaml", "name: demo", "nam: demo")
    assert status(*RUN) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["warning", "./testenv.yaml", "./testenv.yaml", "RuntimeError"]
    assert lines[-1].endswith("(the first of 2 problems).")


def test_dry_run_lists_the_test_cases_and_runs_none(folder: Any, capsys: Capture) -> None:
    assert status(*RUN, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "edgemodel-answer: A" in out
    assert "edgemodel-answer: B" in out
    assert "hard_example_mining: Router" in out
    assert out.endswith("2 test cases would run; results would go to ./workspace/demo\n")
    assert not Path("workspace").exists()


def test_dry_run_of_one_test_case_in_another_workspace(folder: Any, capsys: Capture) -> None:
    folder.edit("route.yaml", "[A, B]", "[A]")
    assert status(*RUN, "--dry-run", "--workspace", "other") == 0
    assert capsys.readouterr().out.endswith("1 test case would run; results would go to other/demo\n")


def test_dry_run_of_a_broken_job_fails(folder: Any) -> None:
    folder.edit("testenv.yaml", "./test.jsonl", "./none.jsonl")
    assert status(*RUN, "--dry-run") == 1


def test_options_reach_the_run(folder: Any) -> None:
    assert status(*RUN, "--limit", "2", "--seed", "7", "--max-errors", "0.5", "--workspace", "other") == 0
    content = json.loads(Path("other/demo/run.json").read_text())
    options = content["provenance"]["options"]
    assert (options["limit"], options["seed"], options["max_errors"], options["jobs"]) == (2, 7, 0.5, 1)
    (records, _) = Path("other/demo/route").rglob("records.jsonl")
    assert len(records.read_text().splitlines()) == 2


def failing(folder: Any) -> None:
    folder.edit("plugins/edge.py", "data == self.fail_on", "self.answer == 'A' and data == 'q2'")


def test_a_plug_in_that_fails_is_shown_with_its_own_frames(folder: Any, capsys: Capture) -> None:
    failing(folder)
    assert status(*RUN) == 1
    err = capsys.readouterr().err
    assert "Traceback (most recent call last):" in err
    assert 'plugins/edge.py", line' in err
    assert f"{os.sep}testcase{os.sep}" not in err
    assert "1 of 2 test cases failed. The others are kept." in err
    content = json.loads(Path("workspace/demo/run.json").read_text())
    assert err.rstrip().splitlines()[-1] == (
        f"RuntimeError: benchmarkingjob runs failed, error: testcase(id={content['failed'][0]}) runs failed, error: "
        "(paradigm=jointinference) pipeline runs failed, error: no answer to q2."
    )


def test_verbose_shows_the_engine_s_frames_too(folder: Any, capsys: Capture) -> None:
    failing(folder)
    assert status("-f", "job.yaml", "--verbose") == 1
    assert f"{os.sep}testcase{os.sep}" in capsys.readouterr().err


def test_errors_may_be_survived(folder: Any) -> None:
    failing(folder)
    assert status(*RUN, "--max-errors", "1") == 0


def test_ctrl_c_says_how_to_go_on(folder: Any, capsys: Capture) -> None:
    folder.edit("plugins/edge.py", "data == self.fail_on", "data == 'q2' and not os.path.exists('go')")
    folder.edit("plugins/edge.py", "raise ValueError(f", "raise KeyboardInterrupt(f")
    assert status(*RUN, "--seed", "3") == 130
    words = "ianvs -f job.yaml --quiet --seed 3 --resume"
    assert last_line(capsys) == f"interrupted; what was recorded is kept. Go on with: {words}"
    Path("go").touch()
    assert status(*words.split()[1:]) == 0
    assert len(list(Path("workspace/demo/route").iterdir())) == 2


def test_ctrl_c_again_does_not_add_resume_twice(folder: Any, capsys: Capture) -> None:
    folder.edit("plugins/edge.py", "raise ValueError(f", "raise KeyboardInterrupt(f")
    folder.edit("plugins/edge.py", "data == self.fail_on", "data == 'q2'")
    assert status(*RUN) == 130
    capsys.readouterr()
    assert status(*RUN, "--resume") == 130
    assert last_line(capsys).endswith("ianvs -f job.yaml --quiet --resume")


def test_ctrl_c_while_the_job_is_read_leaves_nothing_to_resume(folder: Any, capsys: Capture) -> None:
    folder.write("plugins/edge.py", "raise KeyboardInterrupt\n")
    assert status(*RUN) == 130
    assert capsys.readouterr().err == "interrupted before anything ran\n"


def test_resuming_nothing_is_told_in_the_last_line(folder: Any, capsys: Capture) -> None:
    assert status(*RUN, "--resume") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "RuntimeError: benchmarkingjob runs failed, error: there is no run to resume in ./workspace/demo"
    )


def test_a_run_in_a_workspace_in_use_is_refused(folder: Any, capsys: Capture) -> None:
    with locked("workspace/demo"):
        assert status(*RUN) == 1
        err = capsys.readouterr().err
        assert sorted(os.listdir("workspace/demo")) == [".lock"]
        assert status(*RUN, "--workspace", "other") == 0
        assert status(*RUN, "--dry-run") == 0
    assert err == (
        f"RuntimeError: benchmarkingjob runs failed, error: the run of process {os.getpid()} is going on in"
        f" {folder.path}/workspace/demo; wait until it has ended, or choose another folder with --workspace.\n"
    )
    assert status(*RUN) == 0
    assert ".lock" not in os.listdir("workspace/demo")


def test_a_workspace_that_cannot_be_written_is_told(folder: Any, capsys: Capture) -> None:
    Path("workspace").write_text("a file")
    assert status(*RUN) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("RuntimeError: benchmarkingjob runs failed, error: ")
    assert "workspace/demo" in line
    assert line.endswith("choose another folder with --workspace.")


@pytest.mark.parametrize("given", [False, True])
def test_only_the_flag_lets_models_run_code(folder: Any, given: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the environment beforehand neither allows it nor is lost."""
    monkeypatch.setenv("IANVS_COLLAB_TRUST_REMOTE_CODE", "from outside")
    look = "        self.answer = os.environ.get('IANVS_COLLAB_TRUST_REMOTE_CODE', 'no')\n"
    folder.edit("plugins/edge.py", "        self.answer = answer\n", look)
    assert status(*RUN, *(["--trust-remote-code"] if given else [])) == 0
    assert os.environ["IANVS_COLLAB_TRUST_REMOTE_CODE"] == "from outside"
    (records, _) = Path("workspace/demo/route").rglob("records.jsonl")
    assert f'"completion": "{1 if given else "no"}"' in records.read_text().replace('":"', '": "')
    content = json.loads(Path("workspace/demo/run.json").read_text())
    assert content["provenance"]["trust_remote_code"] is given


def test_an_error_nobody_thought_of_shows_its_traceback(
    folder: Any, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ianvs_collab.job.benchmarkingjob.BenchmarkingJob.run", fail)
    assert status(*RUN) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("RuntimeError: benchmarkingjob runs failed, error: ZeroDivisionError.\n")


def test_an_unknown_visualization_fails_after_saving(folder: Any, capsys: Capture) -> None:
    folder.edit("job.yaml", "print_table", "print_tabel")
    assert status(*RUN) == 1
    line = last_line(capsys)
    assert line.startswith(
        "RuntimeError: benchmarkingjob runs failed, error: process visualization(method=print_tabel)"
    )
    assert line.endswith(".")
    assert not line.endswith("..")
    assert Path("workspace/demo/rank/selected_rank.csv").is_file()


def test_data_is_a_sub_command_of_its_own(capsys: Capture) -> None:
    assert status("data", "--help") == 0
    assert "import" in capsys.readouterr().out
