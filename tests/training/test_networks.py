"""A configuration trained on the dataset that its study names."""

import json
import pathlib
import threading

import pytest

from models import data
from search.ledger import queues, studies, summaries
from search.storage import databases
from search.study import specs
from search.training import networks, records
from search.worker import loops

MNIST = pathlib.Path(__file__).resolve().parents[2] / "benchmarks" / "mnist.toml"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_mnist_is_learnt_on_its_held_out_images(opened: databases.Database, data_dir: pathlib.Path) -> None:
    """One epoch tells more than nine digits of ten apart, and the trial says on which images it was trained."""
    text = MNIST.read_text().replace("epochs = 10", "epochs = 1").replace("trials = 10", "trials = 1")
    study = studies.create(opened, specs.parse(text, "mnist.toml"))
    config = {"learning_rate": 0.1, "batch_size": 32, "depth": 1, "width": 32, "activation": "ReLU"}
    queues.enqueue(opened, study, config)
    train = networks.NetworkObjective(study.spec, data_dir)
    loops.Worker(opened, study, train, threading.Event()).run()
    (trial,) = summaries.whole(opened, study).trials
    assert trial.value is not None
    assert 0.9 < trial.value < 1
    trained = json.dumps(trial.user_attrs[records.TRAINED.name])
    assert data.CHECKSUMS["mnist-validation"] in trained
