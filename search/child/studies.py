"""A study as an objective sees it: what callbacks of other frameworks ask for, and one line for all that it has not."""

from typing import Any, NoReturn

from optuna.study import StudyDirection

ADVICE = {
    "stop": "a study ends by its [budget]: trials, target, patience, deadline; or by `search stop`",
    **dict.fromkeys(
        ("optimize", "ask", "tell", "enqueue_trial", "add_trial", "add_trials"),
        "trials are the search's own to begin and to end; `search enqueue` proposes one",
    ),
    "set_user_attr": "attributes of a trial are kept: trial.set_user_attr",
}
OTHERWISE = "the process of an objective reaches no storage and no other trials"


class Absent(AttributeError):
    """What an objective cannot have. `hasattr` says so, too."""


def refuse(owner: str, name: str) -> NoReturn:
    """Says that something is not to be had, and why.

    Args:
        owner: what has no such attribute, as the user writes it.

    Raises:
        Absent: always.
    """
    raise Absent(f"{owner}.{name} is not to be had inside an objective: {ADVICE.get(name, OTHERWISE)}")


class Storage:
    """What stands where Optuna's storage is, since callbacks ask which one it is; it has nothing."""

    def __getattr__(self, name: str) -> NoReturn:
        refuse("the study's storage", name)


class View:
    """The study: one objective, its name and direction.

    Attributes of a study that are stored for other tools are not sent here: there are none.

    Args:
        metric: what the values are called.
    """

    def __init__(self, name: str = "", direction: str = "maximize", metric: str = "value") -> None:
        self.study_name = name
        self.direction = StudyDirection[direction.upper()]
        self.directions = [self.direction]
        self.metric_names = [metric]
        self._storage = Storage()

    @property
    def user_attrs(self) -> dict[str, Any]:
        """None are sent."""
        return {}

    @property
    def system_attrs(self) -> dict[str, Any]:
        """None are sent."""
        return {}

    def _is_multi_objective(self) -> bool:
        return False

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # copies and pickles ask for what they can do without
            raise AttributeError(name)
        refuse("trial.study", name)
