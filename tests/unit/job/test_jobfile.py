"""Reading a whole job: what is accepted, and every fault with its file and line, all at once."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ianvs_collab.configuration.problems import ConfigurationError
from ianvs_collab.job.jobfile import JobFile


def problems(strict: bool = False) -> list[str]:
    """What is wrong with job.yaml in the working directory."""
    with pytest.raises(ConfigurationError) as caught:
        JobFile.read("job.yaml", strict)
    return [str(problem) for problem in caught.value.problems]


def warnings() -> list[str]:
    return [str(warning) for warning in JobFile.read("job.yaml").warnings]


def test_a_good_job_is_read(folder: Any) -> None:
    job = JobFile.read("job.yaml", strict=True)
    assert job.warnings == []
    assert job.workspace() == "./workspace/demo"
    assert job.workspace("/other") == "/other/demo"
    specs = list(job.algorithm_specs())
    assert [dict(spec.modules[0].hyperparameters) for spec in specs] == [{"answer": "A"}, {"answer": "B"}]
    assert [(m.type, m.name, m.url) for m in specs[0].modules] == [
        ("edgemodel", "Edge", "./plugins/edge.py"),
        ("cloudmodel", "Cloud", "./plugins/cloud.py"),
        ("hard_example_mining", "Router", "./plugins/router.py"),
    ]
    assert (specs[0].name, specs[0].paradigm) == ("route", "jointinference")
    assert [(metric.name, metric.url) for metric in job.testenv_spec().metrics] == [("exact", "./metrics/exact.py")]
    assert (job.testenv_spec().dataset.train, job.testenv_spec().dataset.test) == ("./train.jsonl", "./test.jsonl")
    assert [document.path for document in job.documents()] == ["job.yaml", "./testenv.yaml", "./route.yaml"]


def test_settings_have_ianvs_s_defaults(folder: Any) -> None:
    (spec, _) = JobFile.read("job.yaml").algorithm_specs()
    assert spec.settings == {
        "initial_model_url": "",
        "third_party_packages": [],
        "incremental_learning_data_setting": {"train_ratio": 0.8, "splitting_method": "default"},
        "lifelong_learning_data_setting": {"train_ratio": 0.8, "splitting_method": "default"},
        "fl_data_setting": {
            "train_ratio": 1.0,
            "splitting_method": "default",
            "data_partition": "iid",
            "non_iid_ratio": 0.6,
            "label_data_ratio": 1.0,
        },
        "mode": "",
        "quantization_type": "",
        "llama_quantize_path": "",
    }


def test_a_setting_that_is_given_replaces_its_default_whole(folder: Any) -> None:
    folder.edit(
        "route.yaml", "  modules:", "  fl_data_setting: {train_ratio: 0.5}\n  mode: with_compression\n  modules:"
    )
    (spec, _) = JobFile.read("job.yaml").algorithm_specs()
    assert spec.settings["fl_data_setting"] == {"train_ratio": 0.5}
    assert spec.settings["mode"] == "with_compression"


def test_name_and_workspace_have_defaults(folder: Any) -> None:
    folder.edit("job.yaml", "  name: demo\n  workspace: ./workspace\n", "")
    assert JobFile.read("job.yaml").workspace() == "./workspace"


def test_all_problems_are_told_together_with_their_lines(folder: Any) -> None:
    """One fault in each file, each found although the others are there."""
    folder.edit("job.yaml", "save_mode: selected_and_all", "save_mode: all_of_it")
    folder.edit("testenv.yaml", "./test.jsonl", "./tset.jsonl")
    folder.edit("testenv.yaml", "name: exact", "name: exakt")
    folder.edit("route.yaml", "type: hard_example_mining", "type: hard_example_minning")
    folder.edit("plugins/edge.py", "import os", "import os, no_such_package")
    folder.write("plugins/cloud.py", "def broken(:\n")
    found = problems()
    places = [
        ("job.yaml", "save_mode", "benchmarkingjob.rank.save_mode: must be"),
        ("./testenv.yaml", "test_data", "testenv.dataset.test_data: there is no file './tset.jsonl'"),
        ("./testenv.yaml", "exact.py", "testenv.metrics[0].url: ./metrics/exact.py registers no 'exakt'"),
        ("./route.yaml", "modules", "algorithm.modules: jointinference needs a module of type hard_example_mining"),
        ("./route.yaml", "edge.py", "algorithm.modules[0].url: ./plugins/edge.py:1: cannot be imported"),
        ("./route.yaml", "cloud.py", "algorithm.modules[1].url: ./plugins/cloud.py:1: cannot be imported"),
        ("./route.yaml", "minning", "algorithm.modules[2].type: unknown module type 'hard_example_minning'"),
    ]
    for problem, (file, line, text) in zip(found, places, strict=True):
        assert problem.startswith(f"{file}:{folder.line(file, line)}: {text}")
    assert not (folder.path / "workspace").exists()


# File, what is changed in it, and the line and text of the only problem that is told then.
FAULTS = [
    ("job.yaml", "  testenv: ./testenv.yaml\n", "", 1, "benchmarkingjob.testenv: is missing"),
    ("job.yaml", "./testenv.yaml", "./none.yaml", 4, "./none.yaml: there is no such file"),
    ("job.yaml", "./testenv.yaml", "./train.jsonl", 4, "./train.jsonl: is not a YAML file by its name"),
    ("job.yaml", "./route.yaml", "./none.yaml", 9, "there is no such file"),
    ("job.yaml", "type: algorithms", "type: models", 6, "must be 'algorithms'"),
    ("job.yaml", "name: demo", "name: 5", 2, "must be text, not 5 (a whole number)"),
    ("job.yaml", "      - exact: descend", "      - exact", 12, "must be a mapping"),
    ("job.yaml", "      - exact: descend", "      - {}", 12, "must hold a metric and its order"),
    ("job.yaml", "      paradigms: [all]\n", "", 14, "paradigms: is missing"),
    ("job.yaml", "      modules: [all]", "      modules: []", 16, "modules: must not be empty"),
    ("job.yaml", "      hyperparameters: [all]\n", "", 14, "hyperparameters: is missing"),
    ("job.yaml", "    save_mode: selected_and_all", "    save_mode: nothing", 19, "must be 'selected_and_all'"),
    ("job.yaml", "benchmarkingjob:", "benchmarking_job:", 1, "has no section `benchmarkingjob:`"),
    ("job.yaml", "  name: demo", "  name: demo\n  name: demo", 3, "key 'name' is given twice, first in line 2"),
    ("testenv.yaml", "testenv:", "\ttestenv:", 1, "indent with spaces"),
    ("testenv.yaml", "    - name: exact\n      url: ./metrics/exact.py\n", "", 5, "must be a list"),
    ("testenv.yaml", "      url: ./metrics/exact.py\n", "", 6, "metric 'exact' has no `url`"),
    (
        "testenv.yaml",
        "name: exact\n      url: ./metrics/exact.py",
        "name: FWT",
        6,
        "FWT needs a paradigm that this engine does not run",
    ),
    ("route.yaml", "jointinference", "lifelonglearning", 2, "lifelonglearning is not supported by this engine"),
    ("route.yaml", "jointinference", "jointinfrence", 2, "did you mean 'jointinference'?"),
    ("route.yaml", "      url: ./plugins/edge.py\n", "", 4, "a module of type edgemodel needs a `url: <file>.py`"),
    ("route.yaml", "./plugins/edge.py", "./plugins/egde.py", 6, "there is no file ./plugins/egde.py"),
    ("route.yaml", "name: Edge", "name: Egde", 6, "registers no 'Egde' under 'general', but 'Edge'"),
    ("route.yaml", "answer:", "anwser:", 7, "unexpected keyword argument 'anwser'"),
    ("route.yaml", "[A, B]", "[]", 8, "must not be empty"),
    ("route.yaml", "type: edgemodel", "type: [edgemodel]", 4, "must be text"),
    ("route.yaml", "  modules:", "  initial_model_url: 5\n  modules:", 3, "must be text"),
    (
        "route.yaml",
        "  modules:",
        "  third_party_packages: [{name: x, url: ./x}]\n  modules:",
        3,
        "there is no file ./x",
    ),
    ("route.yaml", "  modules:", "  hard_example_mining_mode: mining\n  modules:", 3, "unknown mode 'mining'"),
    ("route.yaml", "./plugins/edge.py", "./plugins/cloud.py", 6, "./plugins/cloud.py registers no 'Edge'"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_each_fault_is_told_at_its_line(folder: Any, fault: tuple[str, str, str, int, str]) -> None:
    file, old, new, line, says = fault
    folder.edit(file, old, new)
    (found,) = problems()
    assert found.startswith(f"{file if file == 'job.yaml' else f'./{file}'}:{line}: ")
    assert says in found


@pytest.mark.parametrize("name", ["rank", "time", "url", "paradigm", "edgemodel"])
def test_a_metric_cannot_be_called_like_another_column(folder: Any, name: str) -> None:
    folder.edit("testenv.yaml", "name: exact", f"name: {name}")
    folder.edit("metrics/exact.py", 'alias="exact"', f'alias="{name}"')
    (found,) = problems()
    assert found.startswith(f"./testenv.yaml:6: testenv.metrics[0].name: {name!r} is the name of another column")


def test_a_metric_given_twice_counts_once(folder: Any) -> None:
    folder.edit(
        "testenv.yaml", "    - name: exact\n", "    - {name: exact, url: ./metrics/exact.py}\n    - name: exact\n"
    )
    (found,) = warnings()
    assert found.startswith("./testenv.yaml:7: testenv.metrics[1].name: metric 'exact' is given twice")


def test_files_that_lie_beside_the_job_are_pointed_out(
    folder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Paths start in the working directory, whatever people expect."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError) as caught:
        JobFile.read("../job.yaml")
    hints = [problem.text.partition("; there is a file ")[2] for problem in caught.value.problems]
    assert hints == [f"../{name}: write that, or run ianvs in .." for name in ("testenv.yaml", "route.yaml")]


@pytest.mark.parametrize(("file", "old"), [("testenv.yaml", "./test.jsonl"), ("testenv.yaml", "./metrics/exact.py")])
def test_files_that_lie_beside_the_testenv_are_pointed_out(folder: Any, file: str, old: str) -> None:
    folder.write("env/testenv.yaml", (folder.path / file).read_text())
    folder.write(f"env/{old}", (folder.path / old).read_bytes())
    (folder.path / old).unlink()
    folder.edit("job.yaml", "./testenv.yaml", "./env/testenv.yaml")
    (found,) = problems()
    assert found.endswith(f"; there is a file env/{old.removeprefix('./')}: write that, or run ianvs in ./env")


def test_a_missing_job_file_is_told(folder: Any) -> None:
    with pytest.raises(ConfigurationError, match="none.yaml: there is no such file"):
        JobFile.read("none.yaml")


@pytest.mark.parametrize("kind", ["edgemodel", "cloudmodel", "hard_example_mining"])
def test_joint_inference_needs_its_three_modules(folder: Any, kind: str) -> None:
    folder.edit("route.yaml", f"type: {kind}", "type: task_definition")
    assert f"jointinference needs a module of type {kind}" in problems()[0]


def test_a_plug_in_that_fails_is_told_once_and_imported_once(folder: Any) -> None:
    folder.write("plugins/edge.py", "print('imported')\nraise ValueError\n")
    folder.edit("route.yaml", "./plugins/cloud.py", "./plugins/edge.py")
    assert len(problems()) == 1


def test_a_wrong_name_is_told_for_each_module_of_a_file(folder: Any) -> None:
    folder.edit("route.yaml", "name: Cloud\n      url: ./plugins/cloud.py", "name: C1\n      url: ./plugins/edge.py")
    folder.edit("route.yaml", "name: Edge", "name: E1")
    assert len(problems()) == 2


def test_a_hyperparameter_that_one_combination_lacks_is_told_once(folder: Any) -> None:
    folder.edit(
        "plugins/cloud.py", "    def inference", "    def __init__(self, needed):\n        pass\n\n    def inference"
    )
    (found,) = problems()
    assert "missing a required argument: 'needed'" in found


def test_the_oracle_router_gets_the_models_beside_its_hyperparameters(folder: Any) -> None:
    router = "    def __init__(self, edgemodel, cloudmodel):\n        pass\n\n    def __call__"
    folder.edit("plugins/router.py", "    def __call__", router)
    assert len(problems()) == 1
    folder.edit("plugins/router.py", 'alias="Router"', 'alias="OracleRouter"')
    folder.edit("route.yaml", "name: Router", "name: OracleRouter")
    folder.edit("route.yaml", "./plugins/router.py", "./plugins/oracle.py")
    folder.write("plugins/oracle.py", (folder.path / "plugins/router.py").read_text())
    assert JobFile.read("job.yaml").warnings == []


def test_a_class_without_a_signature_is_taken_as_it_is(folder: Any) -> None:
    folder.edit("plugins/router.py", "class Router:", "class Router(dict):")
    folder.edit("plugins/router.py", '@ClassFactory.register(ClassType.HEM, alias="Router")\n', "")
    folder.write(
        "plugins/router.py",
        "from sedna.common.class_factory import ClassFactory, ClassType\n"
        'ClassFactory.register_cls(dict, ClassType.HEM, "Router")\n',
    )
    assert JobFile.read("job.yaml").warnings == []


def test_something_registered_that_cannot_be_called_is_told(folder: Any) -> None:
    folder.write(
        "plugins/router.py",
        "from sedna.common.class_factory import ClassFactory, ClassType\n"
        'ClassFactory.register_cls(5, ClassType.HEM, "Router")\n',
    )
    assert "is int rather than a class or a function" in problems()[0]


def test_a_metric_that_cannot_be_called_is_left_out_with_a_warning(folder: Any) -> None:
    folder.write(
        "metrics/exact.py",
        "from sedna.common.class_factory import ClassFactory, ClassType\n"
        'ClassFactory.register_cls(5, ClassType.GENERAL, "exact")\n',
    )
    assert "is no function but int" in warnings()[0]


def test_a_built_in_miner_needs_no_file(folder: Any) -> None:
    folder.edit("route.yaml", "      name: Router\n      url: ./plugins/router.py\n", "      name: IBT\n")
    assert JobFile.read("job.yaml").warnings == []


def test_a_miner_that_another_plug_in_registers_needs_no_file(folder: Any) -> None:
    source = (folder.path / "plugins/edge.py").read_text() + (folder.path / "plugins/router.py").read_text()
    folder.write("plugins/edge.py", source)
    folder.edit("route.yaml", "      url: ./plugins/router.py\n", "")
    assert JobFile.read("job.yaml").warnings == []


def test_an_unknown_miner_without_a_file_is_told(folder: Any) -> None:
    folder.edit("route.yaml", "      name: Router\n      url: ./plugins/router.py\n", "      name: CrossEntrpy\n")
    (found,) = problems()
    assert "no miner 'CrossEntrpy' is registered; did you mean 'CrossEntropy'?" in found


def test_a_processor_without_a_file_does_nothing(folder: Any) -> None:
    with (folder.path / "route.yaml").open("a") as file:
        file.write("    - type: dataset_processor\n      name: P\n    - type: task_definition\n      name: T\n")
    (found,) = warnings()
    assert "so nothing is processed" in found


def test_third_party_packages_come_before_modules(folder: Any) -> None:
    folder.write("lib/ourlib/__init__.py", "")
    folder.edit("plugins/edge.py", "import os\n", "import os\nimport ourlib\n")
    assert "No module named 'ourlib'" in problems()[0]
    folder.edit(
        "route.yaml", "  modules:", "  third_party_packages:\n    - {name: ourlib, url: ./lib/ourlib}\n  modules:"
    )
    (spec, _) = JobFile.read("job.yaml").algorithm_specs()
    assert spec.settings["third_party_packages"] == [{"name": "ourlib", "url": "./lib/ourlib"}]


def test_checking_leaves_the_environment_alone(folder: Any) -> None:
    before = dict(os.environ)
    JobFile.read("job.yaml")
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "job.yaml",
            "  name: demo",
            "  nmae: demo",
            "job.yaml:2: benchmarkingjob.nmae: unknown key 'nmae', it has no effect",
        ),
        ("job.yaml", "    type: alg", "    typ: x\n    type: alg", "did you mean 'type'?"),
        ("job.yaml", "        url: ./route", "        link: x\n        url: ./route", "known are name, url"),
        ("job.yaml", "    save_mode", "    sort_bye: []\n    save_mode", "did you mean 'sort_by'?"),
        ("job.yaml", "      metrics: [all]", "      metrics: [all]\n      metric: [all]", "did you mean 'metrics'?"),
        ("job.yaml", "method: print_table", "method: print_table, color: x", "unknown key 'color'"),
        ("testenv.yaml", "      url: ", "      urll: x\n      url: ", "did you mean 'url'?"),
        ("testenv.yaml", "  metrics:", "  incremental_round: 3\n  metrics:", "did you mean 'incremental_rounds'?"),
        ("route.yaml", "  modules:", "  module: []\n  modules:", "did you mean 'modules'?"),
        ("route.yaml", "      name: Edge", "      nam: x\n      name: Edge", "did you mean 'name'?"),
    ],
)
def test_unknown_keys_warn_and_are_errors_if_strict(folder: Any, file: str, old: str, new: str, says: str) -> None:
    folder.edit(file, old, new)
    (found,) = warnings()
    assert says in found
    assert problems(strict=True) == [found]


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "job.yaml",
            "- exact: descend",
            "- exakt: descend",
            "there is no metric 'exakt' to sort by; did you mean 'exact'?",
        ),
        ("job.yaml", "- exact: descend", "- exact: ascending", "order 'ascending' is taken for 'descend'"),
        ("job.yaml", "- exact: descend", "- {exact: ascend, b: ascend}", "only the first metric counts"),
        (
            "job.yaml",
            "metrics: [all]",
            "metrics: [exakt]",
            "'exakt' is none of this job's metrics; did you mean 'exact'?",
        ),
        ("job.yaml", "paradigms: [all]", "paradigms: [jointinferense]", "did you mean 'jointinference'?"),
        ("job.yaml", "      modules: [all]", "      modules: [edgemodell]", "did you mean 'edgemodel'?"),
        ("job.yaml", "hyperparameters: [all]", "hyperparameters: [answer]", "known are edgemodel-answer"),
        ("job.yaml", "print_table", "print_tabel", "unknown method 'print_tabel'"),
        ("job.yaml", "mode: selected_only", "mode: all", "no table is printed in mode 'all'"),
        (
            "job.yaml",
            "save_mode: selected_and_all",
            "save_mode: selected_and_all_and_picture",
            "needs a metric named Matrix",
        ),
        ("job.yaml", "  name: demo", "  name: demo\n  simulation: {cloud_number: 1}", "no simulated cluster is built"),
        ("route.yaml", "values: [A, B]", "values: AB", "taken letter by letter"),
    ],
)
def test_what_looks_wrong_but_runs_is_a_warning(folder: Any, file: str, old: str, new: str, says: str) -> None:
    folder.edit(file, old, new)
    (found,) = warnings()
    assert says in found


def test_selected_hyperparameters_may_be_none(folder: Any) -> None:
    folder.edit("job.yaml", "hyperparameters: [all]", "hyperparameters: []")
    assert warnings() == []


def test_a_module_type_given_twice_multiplies_and_the_last_wins(folder: Any) -> None:
    folder.edit(
        "route.yaml",
        "    - type: cloudmodel",
        "    - type: edgemodel\n      name: Cloud\n      url: ./plugins/cloud.py\n    - type: cloudmodel",
    )
    folder.edit(
        "plugins/cloud.py", "    def inference", "    def __init__(self, **kwargs):\n        pass\n\n    def inference"
    )
    job = JobFile.read("job.yaml")
    specs = list(job.algorithm_specs())
    assert "a second edgemodel" in str(job.warnings[0])
    assert [[(m.type, m.name, dict(m.hyperparameters)) for m in spec.modules][0] for spec in specs] == [
        ("edgemodel", "Cloud", {}),
        ("edgemodel", "Cloud", {}),
    ]


def test_of_a_module_type_given_twice_only_the_last_is_looked_at(folder: Any) -> None:
    broken = "    - type: edgemodel\n      name: Nobody\n      url: ./plugins/cloud.py\n"
    folder.edit("route.yaml", "    - type: edgemodel", f"{broken}    - type: edgemodel")
    assert len(JobFile.read("job.yaml").warnings) == 1


@pytest.mark.parametrize("miner", ["name: Nobody, url: ./plugins/router.py", "name: Nobody"])
def test_a_miner_that_no_paradigm_makes_need_not_exist(folder: Any, miner: str) -> None:
    modules = f"[{{type: basemodel, name: Edge, url: ./plugins/edge.py}}, {{type: hard_example_mining, {miner}}}]"
    folder.write("route.yaml", f"algorithm: {{paradigm_type: singletasklearning, modules: {modules}}}\n")
    assert JobFile.read("job.yaml").warnings == []
    if "url" in miner:
        folder.edit("route.yaml", "router.py", "broken.py")
        folder.write("plugins/broken.py", "import no_such_package\n")
        assert "pip install no_such_package" in problems()[0]


def test_combinations_go_over_all_modules_the_last_fastest(folder: Any) -> None:
    folder.edit(
        "route.yaml",
        "      url: ./plugins/cloud.py",
        "      url: ./plugins/cloud.py\n      hyperparameters:\n        - x: {values: [1, 2]}",
    )
    folder.edit(
        "plugins/cloud.py", "    def inference", "    def __init__(self, x):\n        pass\n\n    def inference"
    )
    specs = JobFile.read("job.yaml").algorithm_specs()
    assert [(s.modules[0].hyperparameters["answer"], s.modules[1].hyperparameters["x"]) for s in specs] == [
        ("A", 1),
        ("A", 2),
        ("B", 1),
        ("B", 2),
    ]


MODES = {"job": "mining-then-inference", "testenv": "inference-then-mining", "algorithm": "self-design"}


@pytest.mark.parametrize(
    "places",
    [
        [],
        ["job"],
        ["testenv"],
        ["algorithm"],
        ["job", "testenv"],
        ["job", "algorithm"],
        ["testenv", "algorithm"],
        ["job", "testenv", "algorithm"],
    ],
)
def test_the_mining_mode_may_stand_in_three_files(folder: Any, places: list[str]) -> None:
    files = {
        "job": ("job.yaml", "  name: demo"),
        "testenv": ("testenv.yaml", "  metrics:"),
        "algorithm": ("route.yaml", "  modules:"),
    }
    for place in places:
        file, line = files[place]
        folder.edit(file, line, f"  hard_example_mining_mode: {MODES[place]}\n{line}")
    job = JobFile.read("job.yaml")
    (spec, _) = job.algorithm_specs()
    merged = {**job.testenv_spec().options, **spec.settings}
    assert merged.get("hard_example_mining_mode") == (MODES[places[-1]] if places else None)
    assert len(job.warnings) == max(0, len(places) - 1)
    for warning, place in zip(job.warnings, places, strict=False):
        assert f"{MODES[place]} is overruled by {MODES[places[-1]]}" in warning.text
        assert warning.path.endswith(files[place][0])


def test_equal_mining_modes_in_two_files_are_no_conflict(folder: Any) -> None:
    for file, line in (("job.yaml", "  name: demo"), ("testenv.yaml", "  metrics:")):
        folder.edit(file, line, f"  hard_example_mining_mode: self-design\n{line}")
    assert warnings() == []


@pytest.mark.parametrize(("file", "line"), [("job.yaml", "  name: demo"), ("testenv.yaml", "  metrics:")])
def test_an_unknown_mining_mode_is_refused_wherever_it_stands(folder: Any, file: str, line: str) -> None:
    folder.edit(file, line, f"  hard_example_mining_mode: self-desing\n{line}")
    (found,) = problems()
    assert "did you mean 'self-design'?" in found


FEDERATED = """\
algorithm:
  paradigm_type: federatedlearning
  modules:
    - {type: basemodel, name: Edge, url: ./plugins/edge.py}
    - {type: aggregation, name: Mean, url: ./plugins/mean.py}
"""
MEAN = """\
from sedna.common.class_factory import ClassFactory, ClassType


@ClassFactory.register(ClassType.FL_AGG, alias="Mean")
class Mean:
    pass
"""


@pytest.fixture
def federated(folder: Any) -> Any:
    folder.write("route.yaml", FEDERATED)
    folder.write("plugins/mean.py", MEAN)
    return folder


def test_federated_learning_is_read(federated: Any) -> None:
    assert JobFile.read("job.yaml").warnings == []


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("testenv.yaml", "  metrics:", "  round: 0\n  metrics:", "must be a whole number of at least 1, not 0"),
        ("testenv.yaml", "  metrics:", "  client_number: two\n  metrics:", "of at least 1, not 'two'"),
        ("route.yaml", "  modules:", "  fl_data_setting: {train_ratio: 1.0}\n  modules:", "has no `splitting_method`"),
        ("route.yaml", ", url: ./plugins/mean.py", "", "a module of type aggregation needs a `url"),
        ("testenv.yaml", "./train.jsonl", "./none.jsonl", "there is no file"),
        ("testenv.yaml", "./train.jsonl", "/none.jsonl", "there is no file"),
    ],
)  # fmt: skip
def test_federated_learning_is_checked(federated: Any, file: str, old: str, new: str, says: str) -> None:
    federated.edit(file, old, new)
    assert says in problems()[0]


def test_rounds_are_nobody_s_business_in_joint_inference(folder: Any) -> None:
    folder.edit("testenv.yaml", "  metrics:", "  round: many\n  metrics:")
    assert warnings() == []


def test_fine_tuning_data_may_have_any_keys(federated: Any) -> None:
    for name in ("train.jsonl", "test.jsonl"):
        federated.write(name, '{"prompt": "p", "response": "r"}\n')
    assert len(problems()) == 2
    federated.edit("testenv.yaml", "  metrics:", "  if_mode_llm: true\n  metrics:")
    assert warnings() == []


def test_files_of_other_hyperparameters_are_among_the_documents(folder: Any) -> None:
    folder.write("base.yaml", "fail_on: q9\n")
    folder.edit(
        "route.yaml", "        - answer:", "        - other_hyperparameters: {values: [base.yaml]}\n        - answer:"
    )
    job = JobFile.read("job.yaml")
    assert [document.path for document in job.documents()][-1] == "base.yaml"
    (spec, _) = job.algorithm_specs()
    assert dict(spec.modules[0].hyperparameters) == {"fail_on": "q9", "answer": "A"}


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "{algorithms: 5}",
        "{type: algorithms}",
        "{type: algorithms, algorithms: [5]}",
        "{type: algorithms, algorithms: [{name: x}]}",
        "{type: algorithms, algorithms: [{name: x, url: 5}]}",
    ],
)
def test_a_test_object_of_any_shape_is_survived(folder: Any, text: str) -> None:
    job = (folder.path / "job.yaml").read_text()
    start, end = job.index("  test_object:"), job.index("  rank:")
    folder.write("job.yaml", f"{job[:start]}  test_object: {text}\n{job[end:]}")
    assert any("test_object" in problem for problem in problems())


@pytest.mark.parametrize("text", ["5", "[]", "''", "{}", "true"])
def test_algorithm_files_of_any_shape_are_survived(folder: Any, text: str) -> None:
    for value in (
        text,
        f"algorithm: {text}",
        f"algorithm: {{modules: {text}}}",
        f"algorithm: {{modules: [{text}], paradigm_type: x}}",
    ):
        folder.write("route.yaml", f"{value}\n")
        assert any(problem.startswith("./route.yaml") for problem in problems())
