"""Embeddings on disk, by hash of the text: computed once on a machine, read by every later process.

One SQLite file for each encoder, whose fingerprint is its name. SQLite makes writes atomic and lets several processes
share the file. Each vector carries a checksum. Nothing in a cache is worth an error: a file that is damaged is put
aside with a warning and begun anew, and where none can be written the embeddings are simply computed.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CACHE_VARIABLE = "IANVS_COLLAB_CACHE"
_TABLE = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, crc INTEGER NOT NULL, vector BLOB NOT NULL)"
_LOCK_SECONDS = 60
_KEYS_A_QUERY = 500
_LITTLE_FLOATS = np.dtype("<f4")


class CacheWarning(UserWarning):
    """A cache could not be used as it was; results are not affected."""


def cache_folder() -> Path:
    """Where caches go: the folder that IANVS_COLLAB_CACHE names, else the user's cache folder of the platform."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ianvs-collab"


class EmbeddingStore:
    """Vectors of one encoder.

    Args:
        identity: Fingerprint of the encoder and of how it is used; any text.
        dimension: Length of a vector.
        folder: Where the file lies; `cache_folder()/embeddings` if not given.
    """

    def __init__(self, identity: str, dimension: int, folder: Path | None = None) -> None:
        name = hashlib.sha256(identity.encode()).hexdigest()[:32]
        self.path = (folder or cache_folder() / "embeddings") / f"{name}.sqlite3"
        self.dimension = dimension

    def get(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors that are known, by text."""
        if not self.path.exists():
            return {}
        by_key = {_key(text): text for text in texts}
        found: dict[str, NDArray[np.float32]] = {}
        damaged = 0
        with self._guarded(), self._open() as database:
            for key, crc, blob in _rows(database, list(by_key)):
                if zlib.crc32(key + blob) == crc and len(blob) == _LITTLE_FLOATS.itemsize * self.dimension:
                    found[by_key[key]] = np.frombuffer(blob, _LITTLE_FLOATS).astype(np.float32)
                else:
                    damaged += 1
        if damaged:
            warnings.warn(CacheWarning(f"{self.path}: {damaged} damaged embeddings are computed again"), stacklevel=2)
        return found

    def put(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Remember vectors, all or none of them."""
        rows = [(_key(text), vector.astype(_LITTLE_FLOATS).tobytes()) for text, vector in vectors.items()]
        with self._guarded(), self._open() as database:
            database.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                [(key, zlib.crc32(key + blob), blob) for key, blob in rows],
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection with one transaction, which is committed unless something fails."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=_LOCK_SECONDS)) as database, database:
            database.execute(_TABLE)
            yield database

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Warn instead of failing; a damaged file is put aside, so that the next write begins a new one."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:  # locked, read-only, full: the file itself may be sound
            warnings.warn(
                CacheWarning(
                    f"{self.path} cannot be used ({error}), so embeddings are computed and not kept; "
                    f"name a folder that can be written in {CACHE_VARIABLE}"
                ),
                stacklevel=4,
            )
        except sqlite3.DatabaseError as error:
            aside = self.path.with_suffix(".damaged")
            for suffix in ("-journal", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            if self.path.exists():
                os.replace(self.path, aside)
            warnings.warn(
                CacheWarning(f"{self.path} is damaged ({error}); it is kept as {aside.name} and begun anew"),
                stacklevel=4,
            )


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _rows(database: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, int, bytes]]:
    for start in range(0, len(keys), _KEYS_A_QUERY):  # SQLite limits the parameters of a statement
        chunk = keys[start : start + _KEYS_A_QUERY]
        marks = ",".join("?" * len(chunk))
        yield from database.execute(f"SELECT key, crc, vector FROM vectors WHERE key IN ({marks})", chunk)  # noqa: S608
