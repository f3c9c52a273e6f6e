"""`FileOps`: the file operations that plug-ins take from Sedna, for local paths and downloads over HTTP."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.request import urlretrieve

from ianvs_collab.compat import files

__all__ = ["FileOps"]


class FileOps:
    """Class methods only; object stores (`s3://`, `gs://`) need upstream's Sedna."""

    obj_to_pickle_string = staticmethod(files.to_pickle_string)
    pickle_string_to_obj = staticmethod(files.from_pickle_string)
    remove_path_prefix = staticmethod(files.without_prefix)

    @classmethod
    def exists(cls, folder: str | os.PathLike[str]) -> bool:
        """Whether the path is an existing file or folder."""
        return os.path.isdir(folder) or os.path.isfile(folder)

    @classmethod
    def is_local(cls, src: str) -> bool:
        """Whether the source is on this machine: it exists, or says `file://`."""
        return src.startswith("file://") or cls.exists(src)

    @classmethod
    def join_path(cls, *args: str) -> str:
        """Returns the parts joined by slashes; only the first may be absolute, later leading slashes are dropped."""
        first, *rest = args
        return os.path.join(first, *(part.lstrip(os.path.sep) for part in rest))

    @classmethod
    def make_dir(cls, *args: str) -> None:
        """Makes the folder of that (joined) path, and its parents."""
        os.makedirs(cls.join_path(*args), exist_ok=True)

    @classmethod
    def make_base_dir(cls, *args: str) -> None:
        """Makes the folder in which the file of that (joined) path lies or will lie."""
        os.makedirs(os.path.dirname(cls.join_path(*args)) or ".", exist_ok=True)

    @classmethod
    def clean_folder(cls, target: str | Iterable[str], clean: bool = True) -> list[str]:
        """Makes each folder, emptied first if `clean`, and returns the list of them."""
        targets = [target] if isinstance(target, str) else list(target)
        for folder in targets:
            if clean:
                files.empty_folder(folder)
            os.makedirs(folder or ".", exist_ok=True)
        return targets

    @classmethod
    def get_file_hash(cls, filepath: str) -> str:
        """Returns the MD5 of the file in hexadecimal digits, "" where there is no file (no protection, an identity)."""
        if not (filepath and os.path.isfile(filepath)):
            return ""
        with open(filepath, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

    @classmethod
    def dump_pickle(cls, obj: Any, filename: str) -> None:
        """Pickles the object into the file, whose folder is made if need be."""
        cls.make_base_dir(filename)
        Path(filename).write_bytes(pickle.dumps(obj))

    @classmethod
    def load_pickle(cls, filename: str) -> Any:
        """Returns the object pickled in the file, None where there is no file; only for files you trust."""
        path = Path(filename)
        return pickle.loads(path.read_bytes()) if path.is_file() else None  # noqa: S301 - Sedna's interface is pickle

    @classmethod
    def copy_folder(cls, src: str, dst: str) -> None:
        """Copies the folder's content into `dst`, which may exist; a source that is no folder is ignored."""
        if dst and os.path.isdir(src) and not (os.path.exists(dst) and os.path.samefile(src, dst)):
            shutil.copytree(src, dst, dirs_exist_ok=True)

    @classmethod
    def copy_file(cls, src: str, dst: str) -> None:
        """Copies a file to `dst` (into it, if it is a folder), or a folder's content; folders are made if need be."""
        if not dst:
            return
        if os.path.isdir(src):
            cls.copy_folder(src, dst)
        elif os.path.isfile(src) and not (os.path.isfile(dst) and os.path.samefile(src, dst)):
            cls.make_base_dir(dst)
            shutil.copy(src, dst)

    @classmethod
    def download(cls, src: str, dst: str | None = None, unzip: bool = False) -> str:
        """Copies `src` (a path, `file://` or `http(s)://`) to `dst` and returns that path.

        Args:
            src: What to copy.
            dst: Where to; a new temporary folder if None.
            unzip: Unpack `dst` beside itself if it is a `.tar.gz` file.

        Raises:
            ValueError: The source is in an object store, or of an unknown kind.
            tarfile.TarError: An archive would write outside its folder.
            OSError: The source cannot be read or the target not be written.
        """
        dst = cls._transfer(src, dst)
        if unzip and dst.endswith(".tar.gz"):
            with tarfile.open(dst, "r:gz") as archive:
                _unpack(archive, os.path.dirname(dst) or ".")
        return dst

    @classmethod
    def upload(cls, src: str, dst: str | None = None, tar: bool = False) -> str:
        """Copies a local file or folder to the local path `dst` and returns that path.

        Args:
            src: What to copy.
            dst: Where to; a new temporary folder if None.
            tar: Pack `src` into `<src>.tar.gz` first and copy that.

        Raises:
            ValueError: The target is in an object store, or the source does not exist.
            OSError: The source cannot be read or the target not be written.
        """
        if tar:
            with tarfile.open(f"{src}.tar.gz", "w:gz") as archive:
                archive.add(src, arcname=os.path.basename(src))
            src = f"{src}.tar.gz"
        return cls._transfer(src, dst)

    @classmethod
    def _transfer(cls, src: str, dst: str | None) -> str:
        for url in (src, dst or ""):
            if url.startswith(("s3://", "gs://")):
                raise ValueError(f"{url}: object stores are not supported here; use a local path, or upstream's Sedna")
        dst = tempfile.mkdtemp() if dst is None else dst
        if src.startswith(("http://", "https://")):
            cls.make_base_dir(dst)
            target = os.path.join(dst, os.path.basename(src)) if os.path.isdir(dst) else dst
            urlretrieve(src, target)  # noqa: S310 - the scheme was checked above
            return target
        local = src.removeprefix("file://")
        if not cls.exists(local):
            raise ValueError(f"{src}: no such file or folder, and not an http(s):// address")
        cls.copy_file(local, dst)
        return dst


def _unpack(archive: tarfile.TarFile, folder: str) -> None:
    """Unpacks what stays within a folder; Python before 3.11.4 cannot see to that itself."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
        return
    for member in archive.getmembers():
        inside = os.path.realpath(os.path.join(folder, member.name)).startswith(os.path.realpath(folder) + os.sep)
        if not inside or not (member.isfile() or member.isdir()):
            raise tarfile.ExtractError(f"{member.name!r} is not unpacked: it is a link, or outside of {folder!r}")
    archive.extractall(folder)  # noqa: S202 - its members were looked at above
