"""The card beside an exported model: what it is, how good it is and how that is known, how to load it."""

import dataclasses
import json

import torch
from torch import nn

from models.classifier import Classifier
from search import escapes, words
from search.reports import confirmations, figures
from search.reports.pages import Table, table_markdown
from search.study import judgements, specs
from search.training import replays


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a card says.

    Attributes:
        chosen: how the trial was chosen, a sentence.
        searched: the file of the search that it comes from: by which images that chose.
        confirmed: its configuration and others on the test set with fresh seeds, where it was.
        caution: why the accuracy of this very model is too high, or None.
        matrix: (10, 10) int64: images of a class (row) that the model takes for one of another (column).
        loss: mean cross-entropy over the test images, nats.
        replay: the training that gave these weights, beside the stored one.
        provenance: what its last bits depend on.
    """

    study: str
    trial: int
    dataset: str
    chosen: str
    searched: specs.StudySpec
    confirmed: confirmations.Confirmation | None
    caution: str | None
    matrix: torch.Tensor
    loss: float
    replay: replays.Replay
    provenance: dict[str, str]

    @property
    def accuracy(self) -> float:
        """Of this very model on the test images."""
        return float(self.matrix.trace() / self.matrix.sum())


def markdown(model: Classifier, facts: Facts, file: str, picture: str) -> str:
    """The card of a model file; `picture` is the file of its confusion matrix."""
    recipe = model.recipe
    settings = [[field.name, str(getattr(recipe, field.name))] for field in dataclasses.fields(recipe)]
    count = sum(parameter.numel() for parameter in model.network.parameters())
    parts = [
        f"# {escapes.paragraph(file)}",
        f"A multilayer perceptron of {count:,} weights that tells the ten classes of {escapes.text(facts.dataset)} "
        f"apart: trial {facts.trial} of study {escapes.code(facts.study)}. {escapes.sentence(facts.chosen)}",
        "## Accuracy",
        _accuracy(facts),
        "## Load it in plain PyTorch",
        f"```python\nimport safetensors.torch\nfrom torch import nn\n\n{lines(model, file)}\n```",
        "`images` is float32 of shape (n, 784): 28 x 28 pixels row by row, 0 for black to 1 for white, light things "
        f"on a dark ground. Classes, from 0: {escapes.text(', '.join(model.classes))}. "
        f"{escapes.code(f'search predict {file} IMAGE.png')} does the same.",
        "## Settings",
        table_markdown(Table(["setting", "value"], settings, "")),
        "## Class by class",
        table_markdown(_classes(model, facts.matrix)),
        "## Confusion matrix",
        "Rows: the class of a test image. Columns: what the model takes it for.",
        table_markdown(_confusion(model, facts.matrix)),
        f"![confusion matrix]({escapes.link(picture)})",
        "## Limits",
        f"Trained and tested on {escapes.text(facts.dataset)} alone. Photographs, other subjects, other framing or "
        "dark things on a light ground are outside of what these figures say. The probabilities are the softmax of "
        "the logits and were not calibrated.",
        "## Provenance",
        escapes.paragraph(
            f"{facts.replay.sentence()[0].upper()}{facts.replay.sentence()[1:]}. "
            + ", ".join(f"{key} {facts.provenance[key]}" for key in facts.provenance)
        ),
    ]
    return "\n\n".join(parts) + "\n"


def lines(model: Classifier, file: str) -> str:
    """Three lines of Python that load the file and use it; `nn` and `safetensors.torch` are imported."""
    layers = [
        f"nn.Linear({each.in_features}, {each.out_features})" if isinstance(each, nn.Linear) else f"nn.{each!r}"
        for each in model.network
    ]
    layers = [layer.replace("GELU(approximate='none')", "GELU()") for layer in layers]
    return (
        f"model = nn.Sequential({', '.join(layers)})\n"
        f"model.load_state_dict(safetensors.torch.load_file({json.dumps(file, ensure_ascii=False)}))\n"
        "classes = model.eval()(images).argmax(dim=1)"
    )


def picture(model: Classifier, facts: Facts) -> figures.Picture:
    """The confusion matrix."""
    shares = (facts.matrix / facts.matrix.sum(dim=1, keepdim=True).clamp(min=1)).tolist()
    return figures.confusion(
        "confusion", "share of each class's test images by what they are taken for", shares, model.classes
    )


def _accuracy(facts: Facts) -> str:
    images = int(facts.matrix.sum())
    own = (
        f"**{facts.accuracy:.4f}** of the {images:,} test images are classified right by this model; mean "
        f"cross-entropy {facts.loss:.4f} nats."
    )
    parts = [own, _caution(facts, facts.caution) if facts.caution else _apart(facts)]
    if (found := facts.confirmed) is not None:
        parts.append(
            f"Trained with {words.plural(found.seeds, 'seed')} that had no part in the choice of its settings, such a "
            f"network reaches {found.quoted.show()} (mean and 95 % interval over the seeds)."
        )
        parts += [f"{escapes.sentence(each[0].upper() + each[1:])}." for each in found.remarks()]
    elif facts.searched.training is not None and facts.searched.training.value != "last":
        parts.append(
            f"A trial's value is {judgements.value(facts.searched.training)}; this is its network after the last."
        )
    return " ".join(parts)


def _caution(facts: Facts, said: str) -> str:
    found = escapes.sentence(f"{said[0].upper()}{said[1:]}")
    if facts.confirmed is not None:
        return f"{found}."
    return (
        f"{found}: {escapes.code(f'search confirm {words.typed(facts.study)}')} trains its settings with fresh seeds."
    )


def _apart(facts: Facts) -> str:
    """Why this figure is an honest one."""
    if facts.searched.training is None or facts.searched.training.evaluate_on == "test":
        return "Nothing was chosen by these images."
    return f"Nothing was chosen by these images: the search was judged by {judgements.IMAGES['validation']}."


def _classes(model: Classifier, matrix: torch.Tensor) -> Table:
    rows = []
    for number, name in enumerate(model.classes):
        right, there, taken = (int(x) for x in (matrix[number, number], matrix[number].sum(), matrix[:, number].sum()))
        shares = [f"{right / whole:.3f}" if whole else "-" for whole in (there, taken)]
        rows.append([name, str(there), *shares])
    return Table(["class", "test images", "recall", "precision"], rows, "")


def _confusion(model: Classifier, matrix: torch.Tensor) -> Table:
    rows = [[name, *map(str, row)] for name, row in zip(model.classes, matrix.tolist(), strict=True)]
    return Table(["", *model.classes], rows, "")
