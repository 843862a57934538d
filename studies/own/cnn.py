"""A small convolutional network on FashionMNIST, in plain PyTorch: killed at any moment, it ends with the same bits.

All that the training depends on is given to `trial.checkpoint` after each epoch, and taken from `trial.restore`.
"""

import hashlib
import io
import os

import torch
from torch import nn
from torchvision.datasets import FashionMNIST

FOLDER = os.environ.get("SEARCH_DATA", "data")
IMAGES = int(os.environ.get("CNN_IMAGES", "60000"))  # of the training set
EPOCHS = int(os.environ.get("CNN_EPOCHS", "5"))

torch.set_num_threads(1)  # one core for each worker, and always the same bits
torch.use_deterministic_algorithms(True)


def images(train):
    data = FashionMNIST(FOLDER, train=train, download=True)
    return data.data[:IMAGES, None].float() / 255, data.targets[:IMAGES]


train_x, train_y = images(train=True)
test_x, test_y = images(train=False)


def network(channels, dropout):
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * channels * 7 * 7, 10),
    )


def objective(trial):
    torch.manual_seed(trial.seed)
    model = network(trial.params["channels"], trial.params["dropout"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial.params["lr"])
    done = 0
    if (saved := trial.restore()) is not None:
        state = torch.load(io.BytesIO(saved), weights_only=True)
        done = state["epoch"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["generator"])  # dropout and the order of images go on as if nothing had happened
    for epoch in range(done + 1, EPOCHS + 1):
        model.train()
        for batch in torch.randperm(len(train_x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(train_x[batch]), train_y[batch]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = sum(
                (model(x).argmax(1) == y).sum() for x, y in zip(test_x.split(500), test_y.split(500), strict=True)
            )
        kept = {
            "epoch": epoch,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": torch.get_rng_state(),
        }
        file = io.BytesIO()
        torch.save(kept, file)
        trial.checkpoint(file.getvalue(), step=epoch)
        bits = b"".join(weight.numpy().tobytes() for weight in model.state_dict().values())
        trial.set_user_attr("weights", hashlib.sha256(bits).hexdigest())
        yield int(right) / len(test_y)
