"""Commands that take a model away and use it: export, predict."""

import pathlib
from typing import TYPE_CHECKING

import click

from search import api, errors, screens, words
from search.api import results
from search.cli import answers, jsons, layouts
from search.cli.options import (
    common,
    debug_option,
    json_option,
    study_argument,
    worker_options,
)
from search.worker import progress
from search.worker.settings import Settings

if TYPE_CHECKING:
    from search.exports import predictions, recordings

SHOWN = 3  # most probable classes of an image


@click.command()
@study_argument
@click.option(
    "--to",
    "path",
    type=click.Path(path_type=pathlib.Path),
    metavar="FILE.safetensors",
    help="Model file; its card (.md) and confusion matrix (.png) are written beside it. Of own code a folder or .zip.",
)
@click.option(
    "--table",
    type=click.Path(path_type=pathlib.Path),
    metavar="FILE.jsonl[.gz]",
    help="In place of --to: all complete trials, as a table that `search simulate` searches.",
)
@click.option("--trial", type=click.IntRange(min=0), metavar="N", help="Trial N, in place of the best.")
@click.option("--onnx", is_flag=True, help="Write FILE.onnx too.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@worker_options("data_dir", "device", "engine", "store")
@json_option
@common
def export(
    name: str,
    path: pathlib.Path | None,
    table: pathlib.Path | None,
    trial: int | None,
    onnx: bool,
    force: bool,
    settings: Settings,
    as_json: bool,
    storage: str,
) -> None:
    """Trains the best trial again and writes its network as a file, with a card that says how good it is.

    Of code of your own it writes the files that the trial has kept (trial.artifact), with a card, into a folder or a
    zip file.

    The best is the best confirmed one, where `search confirm` has been asked, else the one with the best value.

    \b
    Example:
      search export lab --to lab.safetensors
      search export lab --trial 7 --to seven.safetensors --onnx
      search export lab --table lab.jsonl.gz
    """
    if (path is None) == (table is None):
        raise errors.InputError("export takes either --to or --table")
    if table is not None:
        if trial is not None or onnx:
            raise errors.InputError("export --table takes neither --trial nor --onnx")
        _print_table(results.record(name, table, force=force, storage=storage), as_json)
        return
    assert path is not None
    with screens.bar("training") as on_epoch:
        found = api.export(
            name, path, trial, onnx=onnx, force=force, storage=storage, on_epoch=on_epoch, **dict(settings)
        )
    if as_json:
        jsons.say(found.as_json())
        return
    if found.note is not None:
        progress.note(found.note)
    screens.say(found.sentence())
    if found.caution is not None:
        screens.say_wrapped(found.caution)


def _print_table(found: "recordings.Recorded", as_json: bool) -> None:
    if as_json:
        jsons.say(found.as_json())
        return
    left = ", ".join(f"{count} {words.STATES[state]}" for state, count in found.left_out.items())
    screens.say(
        f"{words.plural(found.rows, 'training')} of study {found.study!r} written to {found.path}"
        + (f"; left out: {left}" if left else "")
    )
    screens.say(
        f"next: `search simulate FILE.toml --table {words.typed(str(found.path))}`, where FILE.toml is its study file"
    )


@click.command()
@click.argument("model", type=click.Path(path_type=pathlib.Path))
@click.argument("images", metavar="[IMAGE...]", nargs=-1, type=click.Path(path_type=pathlib.Path))
@click.option("--test-set", is_flag=True, help="Predict the test set of the model's data.")
@click.option("--resize", is_flag=True, help="Scale images that are not 28 x 28.")
@click.option("--invert", is_flag=True, help="The images are dark on light; FashionMNIST and MNIST are light on dark.")
@worker_options("data_dir")
@json_option
@debug_option
def predict(
    model: pathlib.Path,
    images: tuple[pathlib.Path, ...],
    test_set: bool,
    resize: bool,
    invert: bool,
    settings: Settings,
    as_json: bool,
) -> None:
    """Says what a MODEL of `search export` takes images for: PNG or JPEG files, or the test set.

    \b
    Example:
      search predict lab.safetensors shoe.png bag.jpg
      search predict lab.safetensors photo.jpg --resize --invert
      search predict lab.safetensors --test-set
    """
    if bool(images) == test_set:
        raise errors.InputError("predict takes either IMAGE... or --test-set")
    if model.is_dir() or model.suffix == ".zip":
        raise errors.InputError(
            f"{model} must be a network's file, *.safetensors: only your code can load what it kept"
        )
    from search.exports import predictions  # torch takes seconds

    if test_set:
        tested = predictions.of_test_set(model, settings.data_dir)
        if as_json:
            jsons.say(tested.as_json())
            return
        recalls = [f"{recall:.3f}" for recall in tested.recalls.values()]
        columns = [layouts.Column("class", list(tested.recalls), right=False), layouts.Column("recall", recalls)]
        answers.print_table(layouts.lay_out(columns, None, (), screens.rule()), whole="search predict")
        screens.say(
            f"accuracy {tested.accuracy:.4f} on {tested.images:,} test images, mean loss {tested.loss:.4f} nats"
        )
        if tested.caution is not None:
            screens.say_wrapped(tested.caution)
        return
    found = api.predict(model, *images, resize=resize, invert=invert)
    if as_json:
        jsons.say([each.as_json() for each in found])
        return
    shown = layouts.lay_out(_columns(found), screens.room(screens.out), (), screens.rule())
    answers.print_table(shown, whole=f"search predict {words.typed(str(model))} IMAGE...")


def _columns(found: "list[predictions.Prediction]") -> list[layouts.Column]:
    rows = []
    for each in found:
        first, *others = list(each.ranked.items())[:SHOWN]
        rest = ", ".join(f"{name} {share:.3f}" for name, share in others)
        rows.append((str(each.path), first[0], f"{first[1]:.3f}", rest, ", ".join(each.notes)))
    images, classes, shares, rests, notes = map(list, zip(*rows, strict=True))
    return [
        layouts.Column("image", images, right=False, hangs=True),
        layouts.Column("class", classes, right=False),
        layouts.Column("probability", shares),
        layouts.Column("else", rests, right=False, rank=layouts.Rank.OURS),
        layouts.Column("note", notes, right=False, rank=layouts.Rank.OURS if any(notes) else layouts.Rank.EMPTY),
    ]
