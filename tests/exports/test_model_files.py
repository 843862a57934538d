"""A trained network taken away: the file, its card, and what it says of pictures."""

import io
import json
import pathlib
import re
from collections.abc import Callable

import numpy
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from conftest import Processes, quick_text
from markup import EVIL, read, rendered
from PIL import Image
from torch import nn
from trials import trained

import search
from models import classifier, datasets, onnx_graph, pictures, recipes, weights
from models import errors as model_errors
from models.data import synthetic
from search import errors
from search.cli import commands
from search.exports import cards, choices, model_files, predictions
from search.ledger import queues, studies
from search.storage import databases
from search.study import specs
from search.training import networks, replays

Make = Callable[..., studies.Study]
PARAMS = {"learning_rate": 0.1, "batch_size": 7, "depth": 2, "width": 16}
PROTOTYPES = datasets.CLASS_NAMES["synthetic"]


def small(activation: str = "ReLU", depth: int = 2, dataset: str = "synthetic") -> classifier.Classifier:
    recipe = recipes.Recipe(0.1, 8, depth, 16, activation, epochs=2, seed=3)
    classes = datasets.CLASS_NAMES.get(dataset, PROTOTYPES)
    return classifier.build(recipe, weights.initial(recipe), classes, {"dataset": dataset})


def test_a_card_holds_no_markup_of_others() -> None:
    """The name of the file, of the study, how the trial was chosen, what the training depends on: read as they are."""
    spec = specs.parse(quick_text(), "quick.toml")
    for words in EVIL:
        again = replays.Replay(7, {1: 0.5}, {1: 0.25}, (words,))
        matrix = torch.eye(10, dtype=torch.int64)
        facts = cards.Facts(
            *(words, 7, words, f"Chosen: {words}", spec, None, words, matrix, 0.5, again, {"torch": words})
        )
        tags, text = rendered(cards.markdown(small(), facts, f"{words}.safetensors", f"{words}.png"))
        ours = {"h1", "h2", "p", "strong", "code", "pre", "img", "table", "thead", "tbody", "tr", "th", "td"}
        assert {tag for tag, _ in tags} <= ours, words
        assert [tag for tag, _ in tags].count("table") == 3, words
        assert [tag for tag, _ in tags].count("img") == 1, words
        assert read(text).count(read(words)) >= 5, words


@pytest.fixture
def model_file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(classifier.dump(small()))
    return path


@pytest.mark.parametrize("activation", recipes.ACTIVATIONS)
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_file_gives_the_same_network_back(tmp_path: pathlib.Path, activation: str, depth: int) -> None:
    """Logits to the last bit, the recipe, the class names; and the graph of ONNX agrees in float32."""
    model, images = small(activation, depth), torch.from_numpy(synthetic().test_images)
    path = tmp_path / "model.safetensors"
    path.write_bytes(classifier.dump(model))
    again = classifier.load(path)
    assert (again.recipe, again.classes, again.about["dataset"]) == (model.recipe, PROTOTYPES, "synthetic")
    assert torch.equal(again.logits(images), model.logits(images))
    assert again.probabilities(images).sum(dim=1) == pytest.approx(1.0, abs=1e-5)

    onnx_reference = pytest.importorskip("onnx.reference", reason="the package onnx is not installed")
    (found,) = onnx_reference.ReferenceEvaluator(onnx_graph.dump(model)).run(None, {"images": images.numpy()})
    assert numpy.abs(found - model.logits(images).numpy()).max() < 1e-5


def test_what_is_no_model_file_is_refused(tmp_path: pathlib.Path, model_file: pathlib.Path) -> None:
    """Missing, cut off, foreign, of other shapes: one line with the file's name."""
    bad = tmp_path / "bad.safetensors"
    contents = {
        "cut off": model_file.read_bytes()[:-100],
        "text": b"no tensors",
        "empty": b"",
        "foreign": safetensors.torch.save({"x": torch.zeros(2)}),
        "other shapes": safetensors.torch.save(
            {"0.weight": torch.zeros(2, 2)},
            {"format": classifier.FORMAT, "recipe": json.dumps({"learning_rate": 1, "batch_size": 1, "depth": 0}),
             "classes": "[]"},
        ),
        "other settings": safetensors.torch.save({}, {"format": classifier.FORMAT, "recipe": "{}", "classes": "[]"}),
    }  # fmt: skip
    for content in contents.values():
        bad.write_bytes(content)
        with pytest.raises(model_errors.ModelFileError, match="bad.safetensors") as raised:
            classifier.load(bad)
        assert "\n" not in str(raised.value)
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(model_errors.ModelFileError):
            classifier.load(path)


def saved(path: pathlib.Path, image: Image.Image, **options: object) -> pathlib.Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def test_an_image_becomes_grey_pixels_from_0_to_1(tmp_path: pathlib.Path) -> None:
    """Grey as it is; colours, palettes, 16 bits and transparency as they look on black; CMYK photographs too."""
    ramp = Image.fromarray(numpy.arange(784, dtype=numpy.uint16).reshape(28, 28).astype(numpy.uint8))
    pixels, notes = pictures.read(saved(tmp_path / "grey.png", ramp))
    assert torch.equal(pixels, torch.from_numpy(numpy.asarray(ramp).astype(numpy.float32) / 255).reshape(-1))
    assert (pixels.dtype, pixels.shape, notes) == (torch.float32, (784,), ())
    inverted, notes = pictures.read(tmp_path / "grey.png", invert=True)
    assert torch.equal(inverted, 1 - pixels)
    assert notes == ("inverted",)

    white = Image.new("RGB", (28, 28), "white")
    deep = Image.fromarray(numpy.full((28, 28), 0x8000, numpy.uint16))
    clear = Image.new("RGBA", (28, 28), (255, 255, 255, 0))
    for name, image, value in (
        ("rgb.png", white, 1.0),
        ("palette.png", white.convert("P"), 1.0),
        ("bits.png", white.convert("1"), 1.0),
        ("deep.png", deep, 0.5),
        ("clear.png", clear, 0.0),
        ("half.png", Image.new("LA", (28, 28), (255, 128)), 0.5),
        ("cmyk.jpg", white.convert("CMYK"), 1.0),
    ):
        pixels, notes = pictures.read(saved(tmp_path / name, image))
        assert float(pixels.mean()) == pytest.approx(value, abs=0.01), name
        assert notes[-1].startswith("made grey from mode"), name


def test_an_image_of_another_size_is_scaled_where_asked(tmp_path: pathlib.Path) -> None:
    """Its proportions stay, the rest is background; without --resize the size is named."""
    wide = saved(tmp_path / "wide.png", Image.new("L", (560, 280), 255))
    with pytest.raises(model_errors.PictureError, match="must be 28 x 28 pixels, got 560 x 280"):
        pictures.read(wide)
    pixels, notes = pictures.read(wide, resize=True)
    rows = pixels.reshape(28, 28).mean(dim=1)
    assert [float(rows[row]) for row in (0, 6, 7, 20, 21, 27)] == [0, 0, 1, 1, 0, 0]
    assert notes == ("scaled from 560 x 280",)
    dark = saved(tmp_path / "dark.png", Image.new("L", (10, 5), 0))
    pixels, _ = pictures.read(dark, resize=True, invert=True)
    assert [float(pixels.reshape(28, 28)[row].mean()) for row in (0, 14)] == [0, 1]  # paper is background
    assert pictures.read(saved(tmp_path / "dot.png", Image.new("L", (1, 1), 9)), resize=True)[0].shape == (784,)
    assert pictures.read(saved(tmp_path / "line.png", Image.new("L", (3000, 1), 9)), resize=True)[0].shape == (784,)


def test_what_is_no_image_is_refused(tmp_path: pathlib.Path) -> None:
    """Text, a cut off file, another format, a folder, nothing, too many pixels: one line with the file's name."""
    whole = io.BytesIO()
    Image.fromarray(numpy.random.default_rng(0).integers(0, 255, (28, 28), numpy.uint8)).save(whole, "PNG")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(whole.getvalue()[:-300])
    (tmp_path / "empty.png").write_bytes(b"")
    saved(tmp_path / "other.png", Image.new("L", (28, 28)), format="BMP")
    (tmp_path / "folder.png").mkdir()
    saved(tmp_path / "huge.png", Image.new("1", (20_000, 20_000)))
    for name in ("text.png", "cut.png", "empty.png", "other.png", "folder.png", "none.png", "huge.png"):
        with pytest.raises(model_errors.PictureError, match=name) as raised:
            pictures.read(tmp_path / name, resize=True)
        assert "\n" not in str(raised.value)
    moving = [Image.new("L", (28, 28), value) for value in (255, 0)]
    moving[0].save(tmp_path / "moving.png", save_all=True, append_images=moving[1:])
    pixels, notes = pictures.read(tmp_path / "moving.png")
    assert (float(pixels.mean()), notes) == (1.0, ("its first frame",))


def test_a_model_is_tested_on_the_set_it_was_trained_on(data_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """MNIST's test set and digits for a model of MNIST; a set that is not known is one line with the file's name."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(classifier.dump(small(dataset="mnist")))
    tested = predictions.of_test_set(path, data_dir)
    assert (tested.images, "".join(tested.recalls)) == (10_000, "0123456789")
    path.write_bytes(classifier.dump(small(dataset="letters")))
    with pytest.raises(model_errors.ModelFileError, match=r"model\.safetensors must .* mnist, .*, got 'letters'"):
        predictions.of_test_set(path, data_dir)


def test_an_exported_model_is_the_stored_trial(
    opened: databases.Database, make_study: Make, tmp_path: pathlib.Path
) -> None:
    """Its accuracy is the trial's value, its card says so, and the card's three lines load it."""
    study = make_study(epochs=4, hopeless="false")
    queues.enqueue(opened, study, {**PARAMS, "activation": "GELU"})
    trial = trained(opened, study)
    path = tmp_path / "model.safetensors"
    train = networks.NetworkObjective(study.spec, pathlib.Path("unused"))
    choice = choices.choose(opened, study)
    found = model_files.export(choice, train, model_files.check_path(path, onnx=False, force=False))
    assert (found.accuracy, found.replay.is_same) == (pytest.approx(trial.value, abs=1e-6), True)
    tested = predictions.of_test_set(path, pathlib.Path("unused"))
    assert (tested.accuracy, tested.images) == (pytest.approx(trial.value, abs=1e-6), 200)
    card = (tmp_path / "model.md").read_text()
    assert f"**{trial.value:.4f}** of the 200 test images" in card
    assert "Chosen on the test set, by these very images: this figure may be optimistic: `search confirm quick`" in card
    assert (tested.evaluate_on, tested.caution) == ("test", choice.caution)
    assert (
        found.as_json()["caution"]
        == tested.caution
        == "chosen on the test set, by these very images: " + ("this figure may be optimistic")
    )
    assert "trained again: the same curve, to the last bit" in card
    assert (tmp_path / "model-confusion.png").read_bytes().startswith(b"\x89PNG")
    images = torch.from_numpy(synthetic().test_images)
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code is not None
    names: dict[str, object] = {"images": images, "nn": nn}
    exec(code[1].replace('"model.safetensors"', repr(str(path))), names)  # noqa: S102  # it is what the card tells people
    classes = names["classes"]
    assert isinstance(classes, torch.Tensor)
    assert torch.equal(classes, classifier.load(path).logits(images).argmax(dim=1))
    with pytest.raises(errors.InputError, match="model.safetensors exists already; --force replaces it"):
        model_files.check_path(path, onnx=False, force=False)
    with pytest.raises(errors.InputError, match="must lie in a folder that exists"):
        model_files.check_path(tmp_path / "none" / "model.safetensors", onnx=False, force=False)
    with pytest.raises(errors.InputError, match="must end in .safetensors"):
        model_files.check_path(tmp_path / "model.pt", onnx=False, force=False)


def test_a_model_that_the_hold_out_chose_has_an_honest_card(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Its accuracy on the test set was measured apart from the choice, which is said; the value is not quoted as it."""
    text = quick_text(epochs=4, hopeless="false", value="mean-of-last-3").replace('evaluate_on = "test"\n', "")
    study = studies.create(opened, specs.parse(text, "quick.toml"))
    queues.enqueue(opened, study, {**PARAMS, "activation": "GELU"})
    trained(opened, study)
    path = tmp_path / "model.safetensors"
    train = networks.NetworkObjective(study.spec, pathlib.Path("unused"))
    choice = choices.choose(opened, study)
    found = model_files.export(choice, train, model_files.check_path(path, onnx=False, force=False))
    card = (tmp_path / "model.md").read_text()
    assert f"**{found.accuracy:.4f}** of the 200 test images" in card
    assert "Nothing was chosen by these images: the search was judged by images held out of the training set" in card
    assert "A trial's value is the mean accuracy of its last three epochs; this is its network after the last." in card
    assert "optimistic" not in card
    tested = predictions.of_test_set(path, pathlib.Path("unused"))
    assert (tested.accuracy, tested.evaluate_on, tested.caution) == (found.accuracy, "validation", None)


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # what it trains matters, not where that is kept
def test_export_and_predict_from_the_command_line(processes: Processes) -> None:
    """The confirmed model is taken; a wrong image among several is named and nothing is said of the others."""
    folder = processes.folder
    (folder / "quick.toml").write_text(quick_text(trials=8, epochs=4))
    code, output = processes.run("run", "quick.toml", "--workers", "1")
    assert code == 0, output
    code, output = processes.run("export", "quick", "--to", "best.safetensors")
    assert (code, "of study 'quick' written to best.safetensors" in output) == (0, True), output
    assert processes.run("confirm", "quick", "--top", "2", "--seeds", "2", "--workers", "1")[0] == 0
    code, output = processes.run("export", "quick", "--to", "confirmed.safetensors", "--onnx", "--json")
    assert code == 0, output
    found = json.loads(output.splitlines()[-1])
    assert (found["study"], found["confirmed"]["seeds"], found["same_as_stored"]) == ("quick-confirm", 2, True)
    card = (folder / "confirmed.md").read_text()
    assert "with 2 seeds that had no part in the choice" in card
    assert "Chosen on the test set: the seeds are fresh, the images are not" in card
    assert "Corrected: one half of the seeds chooses" in card
    assert (folder / "confirmed.onnx").exists()
    code, output = processes.run("export", "quick", "--to", "confirmed.safetensors")
    assert (code, "--force replaces it" in output) == (2, True)
    code, output = processes.run("export", "quick", "--trial", "99", "--to", "x.safetensors")
    assert (code, "has 8 trials, numbered from 0, got 99" in output) == (2, True)

    images = torch.from_numpy(synthetic().test_images)
    for number in range(2):
        grey = (images[number].reshape(28, 28) * 255).round().numpy().astype(numpy.uint8)
        saved(folder / f"{number}.png", Image.fromarray(grey))
    code, output = processes.run("predict", "confirmed.safetensors", "0.png", "1.png", "--json")
    assert code == 0, output
    said = json.loads(output.splitlines()[-1])
    assert [each["image"] for each in said] == ["0.png", "1.png"]
    expected = classifier.load(folder / "confirmed.safetensors").logits(images[:2]).argmax(dim=1).tolist()
    assert [each["class"] for each in said] == [PROTOTYPES[each] for each in expected]
    assert sum(said[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert "prototype" in processes.run("predict", "confirmed.safetensors", "0.png")[1]
    code, output = processes.run("predict", "confirmed.safetensors", "0.png", "quick.toml")
    assert (code, output.count("\n"), "quick.toml must be a PNG or JPEG image" in output) == (2, 1, True)
    code, output = processes.run("predict", "confirmed.safetensors", "--test-set")
    assert (code, "on 200 test images" in output) == (0, True)
    assert "chosen on the test set, by these very images: this figure may be optimistic" in output


def test_python_exports_and_predicts_too(
    url: str, opened: databases.Database, make_study: Make, tmp_path: pathlib.Path
) -> None:
    """The functions of the package do what the commands do."""
    study = make_study(epochs=3, hopeless="false")
    queues.enqueue(opened, study, {**PARAMS, "activation": "ReLU"})
    trial = trained(opened, study)
    found = search.export("quick", tmp_path / "model.safetensors", trial=trial.number, storage=url)
    assert found.accuracy == pytest.approx(trial.value, abs=1e-6)
    picture = saved(tmp_path / "picture.png", Image.new("L", (28, 28), 128))
    (said,) = search.predict(tmp_path / "model.safetensors", picture)
    assert set(said.ranked) == set(PROTOTYPES)
    assert search.load("quick", storage=url).best_trial.number == trial.number
    assert search.replay("quick", trial.number, storage=url).is_same
    assert search.extend("quick", 5, storage=url) == 15
    with pytest.raises(AttributeError, match="no attribute 'none'"):
        _ = search.none


def test_predict_takes_images_or_the_test_set(model_file: pathlib.Path) -> None:
    """Neither and both are mistakes of the user's."""
    for words in ([], ["x.png", "--test-set"]):
        result = CliRunner().invoke(commands.cli, ["predict", str(model_file), *words])
        assert isinstance(result.exception, errors.InputError)
        assert "predict takes either IMAGE... or --test-set" in str(result.exception)
