"""Reads configuration files: YAML 1.1 as PyYAML's SafeLoader understands it, remembering where each value stands.

Two things differ from `yaml.safe_load`: a key given twice in one mapping is refused (YAML 1.1, section 3.2.1.1, forbids
it; PyYAML lets the last one win), and every value can be traced back to its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Location = tuple[str | int, ...]
FORMATS = (".yaml", ".yml")


class YamlError(Exception):
    """A configuration file cannot be read.

    Attributes:
        path: The file, as the user wrote it.
        found: (line, text) of each thing that is wrong; line 0 stands for the file as a whole.
        misnamed: Whether the path leads to no YAML file at all, so that the place which names it is at fault.
    """

    def __init__(self, path: str, found: list[tuple[int, str]], misnamed: bool = False) -> None:
        self.path = path
        self.found = found
        self.misnamed = misnamed
        super().__init__("; ".join(f"{path}:{line}: {text}" if line else f"{path}: {text}" for line, text in found))


@dataclass(frozen=True)
class Document:
    """A YAML file's value, and where its parts stand.

    Attributes:
        path: The file, as the user wrote it.
        text: The file's content, for the record of the run.
        value: What the file holds: `dict`, `list`, `str`, `int`, ...
        root: The node graph behind it; None for an empty file.
    """

    path: str
    text: str
    value: Any
    root: yaml.Node | None = None

    def line(self, location: Location = ()) -> int:
        """Returns the line (from 1) of the value at `location`, or of the nearest value around it."""
        line, node = 1, self.root
        for step in location:
            found = _child(node, step)
            if found is None:
                break
            mark, node = found
            line = mark.line + 1
        return line


def dotted(location: Location) -> str:
    """Returns a location as people write it: `("testenv", "metrics", 2, "name")` is `testenv.metrics[2].name`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return text.removeprefix(".")


def read_yaml(path: str) -> Document:
    """Reads a configuration file.

    Args:
        path: File whose name ends in `.yaml` or `.yml`; a relative one stands in the working directory.

    Raises:
        YamlError: If there is no such file, its name ends otherwise, it is not YAML or a key is given twice.
    """
    if not Path(path).is_file():
        raise YamlError(
            path, [(0, "there is no such file; relative paths start in the working directory")], misnamed=True
        )
    if not path.endswith(FORMATS):
        raise YamlError(path, [(0, "is not a YAML file by its name; rename it to end in .yaml or .yml")], misnamed=True)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise YamlError(path, [(0, f"cannot be read: {error.strerror}")]) from error
    return parse_yaml(content, path)


def parse_yaml(content: bytes, path: str) -> Document:
    """Parses the content of a configuration file.

    Args:
        content: The file's bytes (UTF-8, or UTF-16 with a byte order mark).
        path: Name of the file for messages.

    Raises:
        YamlError: If it is not YAML, holds several documents, or a key is given twice.
    """
    try:
        loader = _Loader(content)
        root = loader.get_single_node()
        duplicates = list(_duplicates(root))
        value = loader.construct_document(root) if root is not None else None
    except yaml.YAMLError as error:
        raise YamlError(path, [_explain(error, content)]) from error
    except RecursionError as error:
        raise YamlError(path, [(0, "is nested too deeply")]) from error
    if duplicates:
        raise YamlError(path, duplicates)
    return Document(path, content.decode(errors="replace"), value, root)


class _Loader(yaml.SafeLoader):
    """SafeLoader that gives every refused value its line (a date such as `2025-02-30` raises a bare ValueError)."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def _explain(error: yaml.YAMLError, content: bytes) -> tuple[int, str]:
    if isinstance(error, yaml.reader.ReaderError):
        position = error.position if isinstance(error.position, int) else 0
        return content.count(b"\n", 0, position) + 1, f"is not UTF-8 text: {error.reason}; save the file as UTF-8"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    text = ", ".join(part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part)
    hint = "; indent with spaces, not with tabs" if "'\\t'" in text else ""
    return (mark.line + 1 if mark else 0), f"is not valid YAML: {text or error}{hint}"


def _duplicates(root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Finds keys that are given twice, before merge keys (`<<`) are resolved: to override one is not to double it."""
    waiting: list[yaml.Node | None] = [root]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias; it may even lead back to a node around it
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [child for pair in node.value for child in pair]
            yield from _doubled_keys(node)


def _doubled_keys(node: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    first: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line, identity = key.start_mark.line + 1, (key.tag, key.value)
        if identity in first:
            yield line, f"key {key.value!r} is given twice, first in line {first[identity]}; remove one of the two"
        first.setdefault(identity, line)


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    """Returns where the child stands (a mapping's child: its key) and the child itself."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return (node.value[step].start_mark, node.value[step]) if step < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        # The last one counts: merged keys come before the mapping's own.
        matches = [(key.start_mark, value) for key, value in node.value if _means(key, str(step))]
        return matches[-1] if matches else None
    return None


def _means(key: yaml.Node, step: str) -> bool:
    """Whether a key is written as `step`, or read as it: `on` is read as True."""
    if not isinstance(key, yaml.ScalarNode):
        return False
    return key.value == step or str(yaml.SafeLoader("").construct_object(key)) == step
