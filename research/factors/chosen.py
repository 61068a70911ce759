"""Reads which factor is wanted: its name and parameters, checked before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass

from research.bars import KEY_COLUMNS
from research.factors.registry import CROSS_SECTIONAL_RANK, FACTORS, factor_spec
from research.factors.spec import FactorSpec, Value, suggestion
from schemas.errors import InputError


@dataclass(frozen=True, slots=True)
class ChosenFactor:
    """The factor of one symbol that is wanted, all its parameters, and whether to rank it across symbols."""

    spec: FactorSpec
    params: dict[str, Value]
    ranks: bool

    @property
    def lookback(self) -> int:
        """How many earlier bars the first value needs."""
        return self.spec.lookback(self.params)


def choose_factor(name: str, params: Mapping[str, Value]) -> ChosenFactor:
    """Return the factor of that name with these parameters.

    Raises
    ------
    InputError
        Where the name or a parameter is unknown or out of bounds.
    """
    if name != CROSS_SECTIONAL_RANK:
        spec = factor_spec(name)
        return ChosenFactor(spec, spec.checked_params(params), False)
    ranked = dict(params)
    base = ranked.pop("of", "momentum")
    if not isinstance(base, str) or base not in FACTORS:
        raise InputError(
            f"{CROSS_SECTIONAL_RANK} needs of as one of {', '.join(FACTORS)}, found {base!r}."
            f"{suggestion(str(base), FACTORS)}"
        )
    return ChosenFactor(FACTORS[base], FACTORS[base].checked_params(ranked), True)


def choose_factors(choices: Mapping[str, Mapping[str, Value]]) -> dict[str, ChosenFactor]:
    """Return the factor for each column.

    Raises
    ------
    InputError
        As `choose_factor`; and where there is no choice, or one without a name, or one for a column of the bars' key.
    """
    if not choices:
        raise InputError('compute_factors needs at least one factor, such as {"fast": {"name": "ema"}}, found none.')
    chosen = {}
    for column, choice in choices.items():
        if column in KEY_COLUMNS:
            raise InputError(f"No factor can stand in the column {column}, which says whose it is. Name it otherwise.")
        params = dict(choice)
        name = params.pop("name", None)
        if not isinstance(name, str):
            raise InputError(f"The column {column} needs a factor such as {{'name': 'ema'}}, found {dict(choice)!r}.")
        chosen[column] = choose_factor(name, params)
    return chosen
