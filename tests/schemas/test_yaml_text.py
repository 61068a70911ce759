"""YAML that users write is read strictly: no key is lost, no date is guessed, each mistake names its line."""

import pytest

from schemas.errors import InputError
from schemas.yaml_text import parse_yaml


def test_dates_stay_text() -> None:
    """What a time is, the type of the value says; numbers and words are what YAML says."""
    assert parse_yaml("start: 2022-01-01\nbars: 3\nname: x", "The file") == {
        "start": "2022-01-01", "bars": 3, "name": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3", "The file x.yaml can not be read: a stands twice, the second time in line 3."),
        ("a: {b: 1}\n? [c]\n: 2", "The file x.yaml can not be read: the key in line 2 is no word or number."),
        ("a: [1", "The file x.yaml is no valid YAML at line 1, column 6: expected ',' or ']', but got '<stream end>'."),
    ],
)
def test_a_mistake_names_its_line(text: str, sentence: str) -> None:
    """Two equal keys, a key that is none, brackets that never close."""
    with pytest.raises(InputError) as raised:
        parse_yaml(text, "The file x.yaml")
    assert str(raised.value) == sentence
