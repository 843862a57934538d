"""The lab's own loop, as its notebook has it, to be measured beside ours."""

import contextlib
import gzip
import pathlib
import statistics
import tempfile
from collections.abc import Callable, Iterator

import torch
import torchvision
from torch.nn import functional

from models import sources
from models.recipes import Recipe


class Notebook:
    """The lab's loop: DataLoader over torchvision with ToTensor, shuffled, autograd, `loss.item()` for every batch.

    Args:
        folder: FashionMNIST in torchvision's layout; see `torchvision_layout`.
    """

    def __init__(self, folder: str) -> None:
        transform = torchvision.transforms.ToTensor()
        self._train, self._test = (
            torchvision.datasets.FashionMNIST(folder, train=train, transform=transform) for train in (True, False)
        )

    def epoch(self, recipe: Recipe, net: torch.nn.Module, tick: Callable[[], None]) -> None:
        """Trains one epoch, on the network's device."""
        device = next(net.parameters()).device
        optimizer = torch.optim.SGD(net.parameters(), lr=recipe.learning_rate)
        losses = []
        for x, y in torch.utils.data.DataLoader(self._train, recipe.batch_size, shuffle=True):
            tick()
            loss = functional.cross_entropy(net(x.to(device).flatten(1)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    def evaluate(self, recipe: Recipe, net: torch.nn.Module) -> tuple[float, float]:
        """Average loss and accuracy over the test images."""
        losses, right = [], 0.0
        with torch.no_grad():
            for x, y in torch.utils.data.DataLoader(self._test, recipe.batch_size):
                logits = net(x.flatten(1))
                losses.append(functional.cross_entropy(logits, y).item())
                right += (logits.argmax(1) == y).type(torch.float).sum().item()
        return statistics.fmean(losses), right / 10_000


@contextlib.contextmanager
def torchvision_layout(data_dir: pathlib.Path) -> Iterator[str]:
    """A folder from which torchvision reads FashionMNIST, wherever ours comes from."""
    with tempfile.TemporaryDirectory(prefix="search-bench-") as folder:
        raw = pathlib.Path(folder) / sources.PUBLISHED["fashion-mnist"].raw
        raw.mkdir(parents=True)
        for name, path in sources.find(data_dir).items():
            content = path.read_bytes()
            (raw / name).write_bytes(gzip.decompress(content) if path.suffix == ".gz" else content)
        yield folder
