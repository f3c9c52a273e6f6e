from __future__ import annotations

from pathlib import Path

import pytest

from ianvs_collab.link import DeploymentError, Timeline, current_deployment, load_deployment, use_deployment

SHIPPED = ("home-wifi", "4g")


def write(folder: Path, text: str) -> str:
    path = folder / "net.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_deployments_load_and_take_their_name_from_the_file(repository: Path, name: str) -> None:
    deployment = load_deployment(repository / "testenv" / "deployments" / f"{name}.yaml")
    assert deployment.name == name
    assert deployment.edge.slowdown > deployment.cloud.slowdown
    assert deployment.link.rtt_ms > 0


def test_no_file_is_this_machine_with_an_ideal_link() -> None:
    deployment = load_deployment(None)
    assert deployment.link.rtt_ms == 0
    assert deployment.edge.slowdown == deployment.cloud.slowdown == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("link: {rtt_ms: -1}", "link.rtt_ms"),
        ("link: {rtt: 20}", "link.rtt: no such field"),
        ("edge: {slowdown: 0}", "edge.slowdown"),
        ("tier: wormhole", "tier"),
        ("- 1", "must be a mapping"),
        ("{", "not YAML"),
        ("link: {loss: 1.0}", "link.loss"),
    ],
)
def test_a_wrong_file_names_the_file_and_the_field(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DeploymentError) as error:
        load_deployment(path)
    assert path in str(error.value)
    assert expected in str(error.value)


def test_a_missing_file_says_where_relative_paths_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DeploymentError, match="working directory") as error:
        load_deployment("nowhere.yaml")
    assert str(tmp_path) in str(error.value)


def test_the_deployment_in_force_is_the_last_one_used(tmp_path: Path) -> None:
    deployment = use_deployment(load_deployment(write(tmp_path, "link: {rtt_ms: 5}")))
    assert current_deployment() is deployment


TRACED = {
    "points": "[[0, 8], [1, 0], [2, 4]]",
    "mapping": "{points: [[0, 8], [1, 0], [2, 4]]}",
    "file": "{file: FOLDER/rate.csv}",
    "name": "FOLDER/rate.csv",
}


@pytest.mark.parametrize("form", TRACED)
def test_a_rate_may_follow_a_trace(tmp_path: Path, form: str) -> None:
    (tmp_path / "rate.csv").write_text("seconds,mbps\n0,8\n1,0\n2,4\n")
    path = tmp_path / f"{form}.yaml"
    path.write_text(f"link: {{uplink_trace: {TRACED[form].replace('FOLDER', str(tmp_path))}}}")
    timeline = Timeline(load_deployment(path))
    assert timeline.transfer("uplink", 500_000, "half a second at 8 Mbit/s") == pytest.approx(0.5)
    assert timeline.transfer("uplink", 750_000, "half a second, an outage, half a second at 4") == pytest.approx(2.5)


def test_a_trace_that_repeats_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "repeats.yaml"
    path.write_text("link: {downlink_trace: {points: [[0, 8], [1, 0]], repeat_after: 2}}")
    assert Timeline(load_deployment(path)).transfer("downlink", 1_500_000, "8 Mbit/s, an outage, 8 Mbit/s") == 2.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("link: {uplink_trace: [[1, 8]]}", "a rate trace starts at 0 seconds"),
        ("link: {uplink_trace: [1, 8]}", "the points of a trace are pairs of seconds and Mbit/s"),
        ("link: {uplink_trace: {rate: 8}}", "a trace is a list of .seconds, mbps., a CSV file, or a mapping"),
        ("link: {uplink_trace: nowhere.csv}", "rate trace 'nowhere.csv': No such file"),
        ("link: {uplink_trace: [[0, 8]]}\ntier: namespaces", "tier: namespaces has constant rates; use tier: relay"),
        ("cloud: {slowdown: 2}\ntier: real", "cloud.slowdown: a real cloud is as fast as it is; leave it out"),
        ("cloud: {slowdown: 0.5}\ntier: relay", "cannot be faster than this machine, as 0.5 says"),
    ],
)
def test_what_a_tier_or_a_trace_cannot_be_is_said(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(content)
    with pytest.raises(DeploymentError, match=message) as caught:
        load_deployment(path)
    assert "Value error" not in str(caught.value)
