"""Which jobs a launch takes: never more blocks than run at once, and each job in its turn."""

import threading

import numpy
import pytest

from models.engines.cuda import devices, launches, layouts
from models.recipes import Recipe


class Counting:
    """A device of eight blocks whose blocks do one step in a launch, and that notes what it was given."""

    name, versions, blocks, largest_team = "counting", "1", 8, 8

    def __init__(self) -> None:
        self.given: list[list[tuple[int, int]]] = []  # for each launch, (end, member) of each block
        self.gate = threading.Event()

    def allocate(self, size: int) -> devices.Memory:
        """See `devices.Device.allocate`."""
        raise NotImplementedError

    def run(self, jobs: numpy.ndarray) -> None:
        """See `devices.Device.run`."""
        self.gate.wait(60)
        self.given.append([(int(job["steps"]), int(job["member"])) for job in jobs])
        jobs["done"][jobs["member"] == 0] += 1


def tasks(teams: list[int], launches_each: int) -> list[launches.Task]:
    """A task of each size; its `steps` is its number."""
    layout = layouts.Layout(Recipe(0.1, 8, 1, 8, "ReLU"), 100)
    found = []
    for number, team in enumerate(teams):
        job = launches.job_for(layout, team)
        job["steps"] = number
        found.append(launches.Task(job, launches_each, None))
    return found


def given(teams: list[int], launches_each: int = 6) -> list[list[int]]:
    """The numbers of the tasks in each launch, all of which wait from the start."""
    device, waiting = Counting(), tasks(teams, launches_each)
    on_device = launches.Launches(device)
    threads = [threading.Thread(target=on_device.run, args=(task, None)) for task in waiting]
    for thread in threads:
        thread.start()
    while len(on_device._tasks) < len(waiting):
        threading.Event().wait(0.001)
    device.gate.set()
    for thread in threads:
        thread.join(60)
    assert [int(task.job["done"]) for task in waiting] == [launches_each] * len(waiting)
    assert all(len(blocks) <= device.blocks for blocks in device.given)
    for blocks in device.given:  # each team whole, its first block first
        assert blocks == [(number, member) for number, first in blocks if not first for member in range(teams[number])]
    return [[number for number, member in blocks if not member] for blocks in device.given]


@pytest.mark.parametrize(
    "teams",
    [[1] * 20, [8, *[1] * 12], [*[1] * 12, 8], [8, 8, 8], [4, 4, 4, *[1] * 9], [5, 5, 2, 2, 1], [3, 8, 3, 8, 1, 1]],
    ids=str,
)
def test_nobody_waits_for_ever(teams: list[int]) -> None:
    """Of whatever sizes: a job is in a launch again before any other was in more than as many as there are jobs."""
    found = given(teams)
    for number in range(len(teams)):
        turns = [launch for launch, taken in enumerate(found) if number in taken]
        assert max(numpy.diff(turns), default=0) <= len(teams)
    total = sum(teams) * 6
    assert len(found) <= 3 * -(-total // Counting.blocks) + 6, "blocks are left idle"


def test_what_fits_is_in_every_launch() -> None:
    """As long as there is room for all, nobody waits a launch."""
    found = given([4, 2, 1, 1])
    assert all(sorted(taken) == [0, 1, 2, 3] for taken in found[1:6])


def test_a_small_one_takes_the_room_that_a_large_one_leaves() -> None:
    """Beside a team that fills half of the device the other half works, whoever is next."""
    found = given([5, 5, 2, 1])
    assert all({2, 3} <= set(taken) for taken in found[1:5])
    assert {taken[0] for taken in found[1:7] if len(taken) == 3} | {0, 1} == {0, 1}
