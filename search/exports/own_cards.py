"""The card beside the files of a trial of the user's own code: what it is, what it came to, how to use it."""

from typing import Any

from search import escapes, words
from search.exports.choices import Choice
from search.reports.pages import Table, table_markdown
from search.space import scalars
from search.study import judgements

MOST_STEPS = 20  # of the curve that the card shows
USE = """```python
import json

trial = json.load(open("trial.json", encoding="utf-8"))
params = trial["params"]
```"""
PICKLED = "it runs code when it is loaded: only from somebody you trust"
# how files of these endings are read; {file} is the path
LOADS = {
    ".safetensors": 'safetensors.torch.load_file("{file}")',
    ".pt": 'torch.load("{file}", weights_only=True)',
    ".pth": 'torch.load("{file}", weights_only=True)',
    ".onnx": 'onnxruntime.InferenceSession("{file}")',
    ".npy": 'numpy.load("{file}")',
    ".npz": 'numpy.load("{file}")',
    ".json": 'json.load(open("{file}"))',
    ".csv": 'pandas.read_csv("{file}")',
    ".joblib": 'joblib.load("{file}")',
    ".pkl": 'pickle.load(open("{file}", "rb"))',
    ".keras": 'keras.models.load_model("{file}")',
}


def markdown(choice: Choice, facts: dict[str, Any], name: str) -> str:
    """The card.

    Args:
        facts: as `packages.facts` has them.
        name: of the folder or file.
    """
    metric, study = facts["metric"], facts["study"]
    ran = escapes.code(str(facts["code"]))
    parts = [
        f"# {escapes.paragraph(name)}",
        f"Trial {facts['trial']} of study {escapes.code(study)}, by {ran}: {escapes.text(metric)} "
        f"{words.metric(choice.trial.value)}, {escapes.text(facts['direction'])}d. {escapes.sentence(choice.how)}",
        "## What it is worth",
        _worth(choice, facts),
        "## Configuration",
        table_markdown(Table(["parameter", "value"], [[k, scalars.shown(v)] for k, v in facts["params"].items()], "")),
        f"Seed {facts['seed']} ({judgements.seed_of(choice.study.spec)}). `trial.json` has all of this for programs.",
        "## Files",
        _files(facts),
        "## Use",
        USE,
        f"Your code builds the model from `params`, as {ran} does; the files above are as it wrote them.",
    ]
    if facts["curve"]:
        parts += ["## Values by step", _curve(choice, facts)]
    parts += ["## Code", _code(facts)]
    return "\n\n".join(parts) + "\n"


def _worth(choice: Choice, facts: dict[str, Any]) -> str:
    found = choice.confirmed
    own = f"**{words.metric(choice.trial.value)}** is its {escapes.text(facts['metric'])}."
    if found is None:
        confirm = escapes.code(f"search confirm {words.typed(facts['study'])}")
        return (
            f"{own} It is what the code said, and the best of many noisy values is too good: {confirm} runs the best "
            "configurations again with fresh seeds."
        )
    sentences = [found.sentence(), *found.remarks()]
    return " ".join([own, *(f"{escapes.sentence(each[0].upper() + each[1:])}." for each in sentences)])


def _files(facts: dict[str, Any]) -> str:
    rows = []
    for each in facts["artifacts"]:
        ending = next((known for known in LOADS if each["file"].endswith(known)), "")
        how = escapes.code(LOADS[ending].format(file=each["file"])) if ending else ""
        how = f"{how}; {PICKLED}" if ending in (".joblib", ".pkl") else how
        size = "" if each["size"] is None else f"{each['size']:,}"
        rows.append([escapes.text(each["file"]), size, (each["sha256"] or "")[:16], escapes.Markup(how)])
    return table_markdown(Table(["file", "bytes", "SHA-256", "in Python"], rows, ""))


def _curve(choice: Choice, facts: dict[str, Any]) -> str:
    curve = sorted(choice.trial.intermediate_values.items())
    shown = curve if len(curve) <= MOST_STEPS else curve[-MOST_STEPS:]
    more = "" if len(shown) == len(curve) else f"\n\nThe last {len(shown)} of {len(curve)}."
    rows = [[str(step), words.metric(value)] for step, value in shown]
    return table_markdown(Table(["step", facts["metric"]], rows, "")) + more


def _code(facts: dict[str, Any]) -> str:
    sums = facts["files_of_code"]
    ran = f"It ran {escapes.code(str(facts['code']))}."
    if not sums:
        return ran
    rows = [[escapes.text(path), sums[path]] for path in sums]
    replay = escapes.code(f"search replay {words.typed(facts['study'])} {facts['trial']}")
    table = table_markdown(Table(["file", "first 16 digits of its SHA-256"], rows, ""))
    return f"{ran} These are the files that it was imported from; {replay} says whether they still are.\n\n{table}"
