"""What optuna-dashboard shows beside a study's plots: its settings, as Markdown."""

from search import escapes
from search.space import scalars
from search.space.parameters import Parameter
from search.study import judgements, programs
from search.study.specs import StudySpec

# Optuna-dashboard keeps a note in system attributes of a study, in pieces of at most this length
PREFIX = "dashboard:note_"
VERSION, PIECE = f"{PREFIX}ver", f"{PREFIX}str:"
PIECE_CHARACTERS = 2045


def attributes(spec: StudySpec) -> dict[str, str | int]:
    """The note of a new study, as the system attributes that hold it."""
    text = markdown(spec)
    pieces = [text[start : start + PIECE_CHARACTERS] for start in range(0, len(text), PIECE_CHARACTERS)]
    return {VERSION: 1, **{f"{PIECE}{number}": piece for number, piece in enumerate(pieces)}}


def markdown(spec: StudySpec) -> str:
    """A study's settings: what is sought, over which space, at which cost, and the file itself."""
    limit = f" and {spec.budget.hours:g} h of training" if spec.budget.hours is not None else ""
    rows = [
        ("Sought", f"{spec.study.direction} {escapes.code(spec.study.metric)}"),
        ("Training", _training(spec)),
        ("Sampler", f"{escapes.code(spec.sampler.name)}, seed {spec.study.seed}"),
        ("Pruning", _pruning(spec)),
        ("Budget at the start", f"{spec.budget.trials} trials{limit}{_ends(spec)}"),
    ]
    if spec.space.size is not None:
        rows.append(("Configurations", f"{spec.space.size:,}"))
    return "\n\n".join(
        [
            escapes.table(["Setting", "Value"], [(name, escapes.Markup(text)) for name, text in rows]),
            escapes.table(["Parameter", "Values", "Exists when"], list(map(_row, spec.space.parameters))),
            "Study file:",
            escapes.fence(spec.text, "toml"),
        ]
    )


def _ends(spec: StudySpec) -> str:
    """What ends it earlier."""
    found = {key: getattr(spec.budget, key) for key in ("target", "patience", "deadline", "regret")}
    ends = [f"{key} {escapes.code(str(value))}" for key, value in found.items() if value is not None]
    return f"; ended by {', '.join(ends)}" if ends else ""


def _training(spec: StudySpec) -> str:
    if spec.training is None:
        if spec.command is not None:
            return f"command {escapes.code(programs.shown(spec.command))}"
        return f"objective {escapes.code(spec.objective or '')}"
    training = spec.training
    found = f"{training.epochs} epochs on {escapes.code(training.dataset)}, evaluated on the {training.evaluate_on} set"
    # a note that an earlier version wrote must stay the same: it is replaced only where it is as we would write it
    return found if training.value == "last" else f"{found}; a trial's value is {judgements.value(training)}"


def _pruning(spec: StudySpec) -> str:
    rules = ["hopeless networks"] if spec.pruning.hopeless else []
    if spec.pruning.pruner is not None:
        rules.append(escapes.code(spec.pruning.pruner))
    return " and ".join(rules) or "none"


def _row(parameter: Parameter) -> list[str]:
    values = parameter.values
    if values is None or isinstance(values, (range, scalars.Steps)):
        ends = parameter.at(0.0), parameter.at(1.0)
        shown = f"{ends[0]} to {ends[1]}" + (f" by {values.step}" if values is not None and values.step != 1 else "")
    else:
        shown = ", ".join(map(scalars.shown, values))
    return [escapes.code(each) for each in (parameter.name, shown, str(parameter.when or ""))]
