"""Reads the YAML that users write, strictly: nothing that stands in a file is lost without a word."""

from collections.abc import Hashable
from typing import Any

import yaml

from schemas.errors import InputError


class _StrictLoader(yaml.SafeLoader):
    """YAML keeps the last of two equal keys silently; here the second is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise InputError(f"the key in line {line} is no word or number")
            if key in seen:
                raise InputError(f"{key} stands twice, the second time in line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep)


# A bare 2022-01-01 stays text: what a time is, the type of the value says.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str, name: str) -> Any:
    """Return what YAML text says; dates and times stay text.

    Parameters
    ----------
    text : str
    name : str
        What the text is called in the sentence of an error: 'The graph g.yaml'.

    Raises
    ------
    InputError
        Where it is no YAML, or a key stands twice; the sentence names the line.
    """
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506 - derived from SafeLoader
    except InputError as error:
        raise InputError(f"{name} can not be read: {error}.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "its text"
        raise InputError(f"{name} is no valid YAML at {where}: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name} is no valid YAML: {' '.join(str(error).split())}.") from None
