"""File operations and small helpers that plug-ins take from Sedna and Ianvs."""

from __future__ import annotations

import http.server
import ipaddress
import re
import socket
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ianvs_collab.compat.core.common import constant, utils
from ianvs_collab.compat.sedna.common import constant as sedna_constant
from ianvs_collab.compat.sedna.common import utils as sedna_utils
from ianvs_collab.compat.sedna.common.file_ops import FileOps


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "a.txt").write_text("a")
    (tmp_path / "src" / "deep" / "b.txt").write_text("b")
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class TestFileOps:
    def test_exists_means_file_or_folder(self, tree: Path) -> None:
        assert FileOps.exists(tree / "src")
        assert FileOps.exists(str(tree / "src" / "a.txt"))
        assert not FileOps.exists("none")
        assert FileOps.is_local("file:///anywhere")

    @pytest.mark.parametrize(
        ("parts", "joined"), [(("a",), "a"), (("/a", "/b", "c"), "/a/b/c"), (("s3://bucket", "/k"), "s3://bucket/k")]
    )
    def test_only_the_first_part_may_be_absolute(self, parts: tuple[str, ...], joined: str) -> None:
        assert FileOps.join_path(*parts) == joined

    def test_folders_are_made(self, tmp_path: Path) -> None:
        FileOps.make_dir(str(tmp_path), "x", "y")
        FileOps.make_base_dir(str(tmp_path), "z", "file.txt")
        assert names(tmp_path) == ["x", "x/y", "z"]

    def test_folders_are_emptied_only_when_asked(self, tree: Path) -> None:
        assert FileOps.clean_folder(str(tree / "src"), clean=False) == [str(tree / "src")]
        assert names(tree / "src") == ["a.txt", "deep", "deep/b.txt"]
        FileOps.clean_folder([str(tree / "src"), str(tree / "new")])
        assert names(tree) == ["new", "src"]

    def test_a_link_to_a_folder_is_removed_and_not_followed(self, tree: Path) -> None:
        (tree / "links").mkdir()
        (tree / "links" / "link").symlink_to(tree / "src")
        FileOps.clean_folder(str(tree / "links"))
        assert names(tree / "links") == []
        assert (tree / "src" / "a.txt").is_file()

    def test_hashes_are_md5(self, tree: Path) -> None:
        assert FileOps.get_file_hash(str(tree / "src" / "a.txt")) == "0cc175b9c0f1b6a831c399e269772661"
        assert FileOps.get_file_hash("none") == FileOps.get_file_hash("") == ""

    def test_pickles_come_back(self, tmp_path: Path) -> None:
        FileOps.dump_pickle({"a": [1]}, str(tmp_path / "deep" / "p.pkl"))
        assert FileOps.load_pickle(str(tmp_path / "deep" / "p.pkl")) == {"a": [1]}
        assert FileOps.load_pickle("none.pkl") is None
        assert FileOps.pickle_string_to_obj(FileOps.obj_to_pickle_string((1, "x"))) == (1, "x")

    def test_a_file_is_uploaded_to_a_path_or_into_a_folder(self, tree: Path) -> None:
        target = str(tree / "new" / "c.txt")
        assert FileOps.upload(str(tree / "src" / "a.txt"), target) == target
        FileOps.upload(f"file://{tree}/src/a.txt", str(tree / "new"))
        assert names(tree / "new") == ["a.txt", "c.txt"]

    def test_a_folder_is_uploaded_into_an_existing_one(self, tree: Path) -> None:
        (tree / "new").mkdir()
        FileOps.upload(str(tree / "src"), str(tree / "new"))
        assert names(tree / "new") == ["a.txt", "deep", "deep/b.txt"]

    def test_copying_onto_itself_or_nowhere_does_nothing(self, tree: Path) -> None:
        file = str(tree / "src" / "a.txt")
        FileOps.copy_file(file, file)
        FileOps.copy_file(file, "")
        FileOps.copy_folder(str(tree / "src"), str(tree / "src"))
        FileOps.copy_folder("none", str(tree / "new"))
        assert names(tree) == ["src", "src/a.txt", "src/deep", "src/deep/b.txt"]

    def test_without_a_target_a_temporary_folder_is_made(self, tree: Path) -> None:
        assert names(Path(FileOps.upload(str(tree / "src"), None))) == ["a.txt", "deep", "deep/b.txt"]

    def test_a_packed_upload_unpacks_on_download(self, tree: Path) -> None:
        packed = FileOps.upload(str(tree / "src"), str(tree / "packed.tar.gz"), tar=True)
        with tarfile.open(packed) as archive:
            assert sorted(archive.getnames()) == ["src", "src/a.txt", "src/deep", "src/deep/b.txt"]
        FileOps.download(packed, str(tree / "there" / "p.tar.gz"), unzip=True)
        assert (tree / "there" / "src" / "a.txt").read_text() == "a"

    def test_an_older_python_unpacks_it_too(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        packed = FileOps.upload(str(tree / "src"), str(tree / "packed.tar.gz"), tar=True)
        FileOps.download(packed, str(tree / "there" / "p.tar.gz"), unzip=True)
        assert (tree / "there" / "src" / "deep" / "b.txt").read_text() == "b"

    @pytest.mark.parametrize("older", [False, True])
    @pytest.mark.parametrize("name", ["../evil", "link"])
    def test_an_archive_does_not_reach_out_of_its_folder(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch, older: bool, name: str
    ) -> None:
        if older:
            monkeypatch.delattr(tarfile, "data_filter", raising=False)
        with tarfile.open(tree / "p.tar.gz", "w:gz") as archive:
            member = tarfile.TarInfo(name)
            if name == "link":
                member.type, member.linkname = tarfile.SYMTYPE, "../../evil"
            archive.addfile(member)
        with pytest.raises(tarfile.TarError):
            FileOps.download(str(tree / "p.tar.gz"), str(tree / "there" / "p.tar.gz"), unzip=True)
        assert not (tree / "evil").exists()

    def test_an_http_address_is_downloaded(self, tree: Path, server: str) -> None:
        assert Path(FileOps.download(f"{server}/a.txt", str(tree / "c.txt"))).read_text() == "a"
        (tree / "new").mkdir()
        assert FileOps.download(f"{server}/a.txt", str(tree / "new")) == str(tree / "new" / "a.txt")

    @pytest.mark.parametrize(("source", "target"), [("s3://b/k", "x"), ("gs://b/k", None), ("a.txt", "s3://b/k")])
    def test_object_stores_are_refused(self, source: str, target: str | None) -> None:
        with pytest.raises(ValueError, match="object stores are not supported"):
            FileOps.upload(source, target)

    def test_a_missing_source_is_named(self) -> None:
        with pytest.raises(ValueError, match="none: no such file or folder"):
            FileOps.upload("none", "x")


@pytest.fixture
def server(tree: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tree / "src"))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


class TestSednaUtils:
    def test_the_host_has_an_address(self) -> None:
        assert ipaddress.ip_address(sedna_utils.get_host_ip()).version == 4

    def test_without_a_network_it_is_the_loopback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(*_: object) -> None:
            raise OSError("Network is unreachable")

        monkeypatch.setattr(socket.socket, "connect", unreachable)
        assert sedna_utils.get_host_ip() == "127.0.0.1"

    def test_a_singleton_is_made_once(self) -> None:
        @sedna_utils.singleton
        class Only:
            pass

        assert Only() is Only()

    def test_layers_are_flattened_and_shaped_again(self) -> None:
        layers = [np.arange(6).reshape(2, 3), np.arange(2)]
        flat = sedna_utils.model_layer_flatten(layers)
        assert [layer.shape for layer in flat] == [(6,), (2,)]
        shaped = sedna_utils.model_layer_reshape(flat, [(2, 3), (2,)])
        assert all((a == b).all() for a, b in zip(layers, shaped, strict=True))
        with pytest.raises(ValueError, match="shorter"):
            sedna_utils.model_layer_reshape(flat, [(2, 3)])

    @pytest.mark.parametrize(
        ("path", "prefix", "rest"),
        [("/a/b", "/a", "/b"), ("/a/b", "/a/", "/b"), ("/a/b", "/c", "/a/b"), ("/a", "", "/a")],
    )
    def test_a_folder_is_taken_off_a_path(self, path: str, prefix: str, rest: str) -> None:
        assert sedna_utils.remove_path_prefix(path, prefix) == rest

    def test_cleaning_what_is_not_there_does_nothing(self, tmp_path: Path) -> None:
        sedna_utils.clean_folder(tmp_path / "none")
        assert names(tmp_path) == []

    def test_constants_are_sednas(self) -> None:
        assert sedna_constant.K8sResourceKind("jointinferenceservice").name == "JOINT_INFERENCE_SERVICE"
        assert sedna_constant.KBResourceConstant.KB_INDEX_NAME.value == "index.pkl"
        assert sedna_constant.K8sResourceKindStatus("failed").name == "FAILED"


class TestIanvsUtils:
    @pytest.mark.parametrize(
        ("url", "kind"),
        [("a/b.jsonl", "jsonl"), ("a.b/metadata.json", "jsonforllm"), ("x.json", "json"), ("a.b/c", "")],
    )
    def test_the_format_is_the_ending(self, url: str, kind: str) -> None:
        assert utils.get_file_format(url) == kind

    def test_files_and_folders_are_told_apart(self, tree: Path) -> None:
        assert utils.is_local_file(str(tree / "src" / "a.txt"))
        assert not utils.is_local_file(str(tree / "src"))
        assert utils.is_local_dir(str(tree / "src"))

    def test_keywords_are_filtered_by_the_signature(self) -> None:
        given = {"a": 1, "b": 2}
        assert utils.parse_kwargs(lambda a: a, **given) == {"a": 1}
        assert utils.parse_kwargs(lambda a, **kwargs: a, **given) == given
        assert utils.parse_kwargs(lambda a, **others: a, **given) == {"a": 1}
        assert utils.parse_kwargs(None, **given) == given

    def test_the_time_has_seconds(self) -> None:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", utils.get_local_time())

    def test_files_become_mappings(self, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text("x = 1")
        (tmp_path / "a.yaml").write_text("x: 1e-7\non: 017")
        assert utils.py2dict(str(tmp_path / "a.py")) == {"x": 1}
        assert utils.yaml2dict(str(tmp_path / "a.yaml")) == {"x": "1e-7", True: 15}

    def test_other_endings_are_refused(self) -> None:
        with pytest.raises(RuntimeError, match="must be the yaml format"):
            utils.yaml2dict("a.YAML")
        with pytest.raises(RuntimeError, match="must be the py format"):
            utils.py2dict("a.txt")

    def test_a_module_is_imported_by_its_base_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = list(sys.path)
        (tmp_path / "plug_in_of_this_test.py").write_text("x = 1")
        utils.load_module(str(tmp_path / "plug_in_of_this_test.py"))
        assert sys.modules.pop("plug_in_of_this_test").x == 1
        assert sys.path == before

    def test_a_folder_is_imported_as_a_package(self, tmp_path: Path) -> None:
        (tmp_path / "package_of_this_test").mkdir()
        (tmp_path / "package_of_this_test" / "__init__.py").write_text("x = 2")
        utils.load_module(str(tmp_path / "package_of_this_test"))
        assert sys.modules.pop("package_of_this_test").x == 2

    def test_a_failing_import_says_which_file(self, tmp_path: Path) -> None:
        before = list(sys.path)
        (tmp_path / "broken_of_this_test.py").write_text("1 / 0")
        with pytest.raises(RuntimeError, match=r"load module\(url=.*broken_of_this_test.py\) failed, error: division"):
            utils.load_module(str(tmp_path / "broken_of_this_test.py"))
        assert sys.path == before

    def test_the_vocabularies_are_ianvs_own(self) -> None:
        assert {kind.value for kind in constant.ParadigmType} == {
            "singletasklearning",
            "incrementallearning",
            "multiedgeinference",
            "lifelonglearning",
            "federatedlearning",
            "federatedclassincrementallearning",
            "jointinference",
        }
        assert constant.ModuleType("dataset_processor") is constant.ModuleType.DATA_PROCESSOR
        assert len(constant.ModuleType) == 15
        assert {kind.value for kind in constant.DatasetFormat} == {"csv", "txt", "json", "jsonl", "jsonforllm"}
        assert [kind.value for kind in constant.TestObjectType] == ["algorithms"]
        assert constant.SystemMetricType("samples_transfer_ratio").name == "SAMPLES_TRANSFER_RATIO"
