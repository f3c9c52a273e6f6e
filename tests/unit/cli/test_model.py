"""`ianvs model ...`: the commands are found by name, and told of."""

from __future__ import annotations

import pytest

from ianvs_collab.cli import main
from ianvs_collab.cli.model import COMMANDS

Capture = pytest.CaptureFixture[str]


def test_help_lists_the_commands(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["model", "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(name in told for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_of_its_own(name: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["model", name, "--help"])
    assert ended.value.code == 0
    assert f"usage: ianvs model {name} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "required: COMMAND"), (["conver"], "invalid choice: 'conver'")]
)
def test_what_is_no_command_is_refused(arguments: list[str], message: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["model", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_status_is_the_command_s(capsys: Capture) -> None:
    assert main(["model", "convert", "nowhere/at/all", "--out", "unused"]) == 1
    assert "nothing was converted" in capsys.readouterr().err
