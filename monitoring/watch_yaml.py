"""Reads the watch file's YAML, and tells each mistake in it as a sentence that names the place."""

import difflib
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from schemas.errors import InputError


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML keeps the last of two equal keys silently, and a rule would be lost; here the second is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise InputError(f"the key in line {line} is no word")
            if key in seen:
                raise InputError(f"{key} stands twice, the second time in line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the file's content; an empty file is an empty mapping.

    Raises
    ------
    InputError
        Where the file can not be read, is no YAML, or holds something else than a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The watch file {path} can not be read: {error}.") from None
    try:
        content = yaml.load(text, _UniqueKeyLoader)  # noqa: S506 - derived from SafeLoader
    except InputError as error:
        raise InputError(f"The watch file {path} can not be used: {error}.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "its text"
        raise InputError(f"The watch file {path} is no valid YAML at {where}: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise InputError(f"The watch file {path} is no valid YAML: {' '.join(str(error).split())}.") from None
    if content is not None and not isinstance(content, dict):
        raise InputError(f"The watch file {path} must hold strategies, rules and alerts, found {content!r:.60}.")
    return content or {}


def first_mistake(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first thing that is wrong as a sentence: the place in the file, what was needed, what was found."""
    first = error.errors(include_url=False)[0]
    place = _place(first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{place} is unknown. {_known(first['loc'], model)}"
    if first["type"] == "missing":
        return f"{place} is missing."
    text = first["msg"].removeprefix("Value error, ").rstrip(".")
    if not first["loc"]:
        return f"{text[:1].upper()}{text[1:]}."
    found = "" if "found" in text else f", found {first['input']!r:.60}"
    return f"{place}: {text}{found}."


def _place(steps: tuple[int | str, ...]) -> str:
    """Return 'strategies.1.pairs' as people count: the first strategy is 1."""
    return ".".join(str(step + 1) if isinstance(step, int) else step for step in steps)


def _known(steps: tuple[int | str, ...], model: Any) -> str:
    for step in steps[:-1]:
        if isinstance(step, str):
            model = _model_of(model.model_fields[step].annotation)
    names = list(model.model_fields)
    near = difflib.get_close_matches(str(steps[-1]), names, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known are {', '.join(names)}."


def _model_of(annotation: Any) -> Any:
    """Return the model in an annotation: itself, that of an optional field, or that of a tuple's items."""
    return next(one for one in (annotation, *getattr(annotation, "__args__", ())) if hasattr(one, "model_fields"))
