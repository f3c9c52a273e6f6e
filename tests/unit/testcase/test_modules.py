from __future__ import annotations

import os

import pytest

from ianvs_collab.testcase.modules import make_modules
from ianvs_collab.testcase.plugins import PluginError
from ianvs_collab.testcase.spec import AlgorithmSpec, ModuleSpec

SOURCE = """
os.environ["BACKEND_TYPE"] = "IMPORTED"

@ClassFactory.register(ClassType.GENERAL, alias="Edge")
class Edge:
    def __init__(self, **kwargs):
        self.backend_before = os.environ["BACKEND_TYPE"]
        os.environ["BACKEND_TYPE"] = "CONSTRUCTED"
        self.kwargs = kwargs
        kwargs.get("sizes", []).append("changed")

@ClassFactory.register(ClassType.GENERAL, alias="Cloud")
class Cloud:
    def __init__(self):
        self.backend = os.environ["BACKEND_TYPE"]

@ClassFactory.register(ClassType.HEM, alias="Miner")
class Miner:
    pass

@ClassFactory.register(ClassType.FL_AGG, alias="Mean")
class Mean:
    pass

@ClassFactory.register(ClassType.GENERAL, alias="Silent")
class Silent:
    def __init__(self):
        raise ValueError
"""


def make(*modules, **settings):
    return make_modules(AlgorithmSpec("a", "jointinference", modules, settings))


def test_kinds_of_modules(bench):
    url = bench.plugin("all", SOURCE)
    made = make(
        ModuleSpec("edgemodel", "Edge", url, {"size": 1}),
        ModuleSpec("hard_example_mining", "Miner", url, {"threshold": 1}),
        ModuleSpec("aggregation", "Mean", url),
        ModuleSpec("cloudmodel", "Unnamed"),
        ModuleSpec("basemodel", "Unnamed", None, {"a": 1}),
    )
    assert list(made) == ["edgemodel", "hard_example_mining", "aggregation", "cloudmodel", "basemodel"]
    assert made["edgemodel"].kwargs == {"size": 1}
    described = made["hard_example_mining"]
    assert (described["method"], described["param"], described["class"].__name__) == (
        "Miner",
        {"threshold": 1},
        "Miner",
    )
    assert made["aggregation"][0] == "Mean"
    assert type(made["aggregation"][1]).__name__ == "Mean"
    assert made["cloudmodel"] == {"method": "Unnamed"}
    assert made["basemodel"] == {"method": "Unnamed", "param": {"a": 1}}
    assert make(ModuleSpec("aggregation", "FedAvg")) == {"aggregation": ("FedAvg", None)}


def test_a_file_sets_its_environment_where_it_is_first_used_and_no_later(bench):
    url = bench.plugin("all", SOURCE)
    for _ in range(2):  # the second time the file is not imported again
        os.environ.pop("BACKEND_TYPE", None)
        made = make(ModuleSpec("edgemodel", "Edge", url), ModuleSpec("cloudmodel", "Cloud", url))
        assert made["edgemodel"].backend_before == "IMPORTED"
        assert made["cloudmodel"].backend == "CONSTRUCTED"


def test_hyperparameters_are_not_shared_with_the_plugin(bench):
    sizes = [1]
    make(ModuleSpec("edgemodel", "Edge", bench.plugin("all", SOURCE), {"sizes": sizes}))
    assert sizes == [1]


@pytest.mark.parametrize(
    ("name", "hyperparameters", "message"),
    [
        ("Silent", {}, r"module\(type=edgemodel loads class\(name=Silent\) failed, error: ValueError\."),
        ("Cloud", {"size": 1}, "failed, error: .*unexpected keyword argument 'size'"),
        ("Absent", {}, "failed, error: .*registers no 'Absent'"),
    ],
)
def test_a_module_that_cannot_be_made_is_named(bench, name, hyperparameters, message):
    with pytest.raises(RuntimeError, match=message):
        make(ModuleSpec("edgemodel", name, bench.plugin("all", SOURCE), hyperparameters))


def test_third_party_packages_come_first(bench):
    package = bench.folder / "thirdparty_for_modules"
    package.mkdir()
    (package / "__init__.py").write_text("VALUE = 7")
    source = """
from thirdparty_for_modules import VALUE
@ClassFactory.register(ClassType.GENERAL, alias="Uses")
class Uses:
    value = VALUE
"""
    module = ModuleSpec("edgemodel", "Uses", bench.plugin("uses", source))
    made = make(module, third_party_packages=[{"name": "thirdparty_for_modules", "url": str(package)}])
    assert made["edgemodel"].value == 7
    with pytest.raises(PluginError):
        make(module, third_party_packages=[{"name": "absent", "url": "absent"}])


TIDY = """
@ClassFactory.register(ClassType.GENERAL, alias="{name}")
class {name}:
    def __init__(self):
        {init}
    def cleanup(self):
        trace("{name}.cleanup")
        {cleanup}
"""


def test_modules_made_before_one_that_cannot_be_made_are_cleaned_up(bench, capsys):
    parts = [("Edge", "pass", "pass"), ("Cloud", "pass", "raise OSError('busy')"), ("Broken", "1 / 0", "pass")]
    source = "".join(TIDY.format(name=name, init=init, cleanup=cleanup) for name, init, cleanup in parts)
    url = bench.plugin("tidy", source)
    kinds = {"edgemodel": "Edge", "cloudmodel": "Cloud", "basemodel": "Broken", "dataset_processor": "Edge"}
    with pytest.raises(RuntimeError, match=r"class\(name=Broken\) failed, error: division by zero"):
        make(*(ModuleSpec(kind, name, url) for kind, name in kinds.items()))
    assert bench.trace() == [["Edge.cleanup"], ["Cloud.cleanup"]]
    assert "cleanup() of Cloud failed: OSError: busy" in capsys.readouterr().err
