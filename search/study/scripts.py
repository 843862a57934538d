"""What the text of a script says of the study that it makes with Optuna alone: direction, trials, name."""

import ast
import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Hints:
    """What it says in so many words; None for what it does not, or says twice."""

    direction: str | None = None
    trials: int | None = None


def read(source: str) -> Hints:
    """Looks at calls of `create_study` and `optimize`; nothing of it is run."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return Hints()
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = [each for each in calls if _name(each.func) == "create_study"]
    run = [each for each in calls if _name(each.func) == "optimize"]
    # Optuna's own default
    directions = {_word(_keyword(each, "direction", ast.Constant("minimize"))) for each in made}
    directions = {"minimize"} if made and directions == {"minimize"} else directions
    trials = {_constant(_keyword(each, "n_trials", each.args[1] if len(each.args) > 1 else None)) for each in run}
    direction, count = _only(directions), _only(trials)
    return Hints(
        direction if direction in ("minimize", "maximize") else None,
        count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else None,
    )


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _keyword(call: ast.Call, name: str, otherwise: ast.expr | None) -> ast.expr | None:
    if any(each.arg in ("directions", None) for each in call.keywords):
        return None
    return next((each.value for each in call.keywords if each.arg == name), otherwise)


def _constant(node: ast.expr | None) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _word(node: ast.expr | None) -> str | None:
    """`"minimize"` and `StudyDirection.MINIMIZE`."""
    found = node.attr.lower() if isinstance(node, ast.Attribute) else _constant(node)
    return found if isinstance(found, str) else None


def _only(found: set[Any]) -> Any:
    return next(iter(found)) if len(found) == 1 else None
