"""Reads the watch file's YAML, and tells each mistake in it as a sentence that names the place."""

import difflib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.errors import InputError
from schemas.yaml_text import parse_yaml


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
    content = parse_yaml(text, f"The watch file {path}")
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
