"""A trial that samples nothing: it asks the worker for each value that the objective suggests, to record its space."""

from collections.abc import Sequence
from typing import Any

from optuna import distributions

from . import trials

KINDS = (bool, int, float, str, type(None))  # of choices that a study file can hold


class Recording(trials.View):
    """See `trials.View`; what it gives for each parameter is the worker's to choose."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """What the worker chooses."""
        return float(self._suggested(name, distributions.FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """What the worker chooses."""
        return int(self._suggested(name, distributions.IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """What the worker chooses."""
        odd = [each for each in choices if type(each) not in KINDS]
        if odd:
            raise ValueError(
                f"suggest_categorical({name!r}): a study file holds numbers, strings, True, False and None, got "
                f"{odd[0]!r}: suggest a name for each choice, and look the rest up by it"
            )
        distribution = distributions.CategoricalDistribution(choices)
        return distribution.choices[int(self._suggested(name, distribution))]

    def _suggested(self, name: str, distribution: distributions.BaseDistribution) -> float:
        """Of choices it is the place of one."""
        text = distributions.distribution_to_json(distribution)
        value: float = self._owner.ask({"is": "suggest", "name": name, "distribution": text})["value"]
        self._given[name] = distribution.to_external_repr(value)
        return value
