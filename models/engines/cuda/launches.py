"""The thread that puts the work of all trainings on a device into one launch after the other."""

import threading
from collections.abc import Callable

import numpy

from models import errors
from models.engines.cuda import devices, layouts

LAUNCH_SECONDS = 0.05  # decision 53: what a block may take before it hands back, a step more or less
LOOK_SECONDS = 0.25  # between two looks at whether to stop
FIRST_LOOK_SECONDS = 0.001  # doubled from look to look, so that a short epoch is looked at too
IDLE_SECONDS = 1.0  # after which the thread ends; the next job starts another


class Task:
    """A job on its way.

    Args:
        job: one of layouts.JOB, of a team that the device holds; `done` counts up to `end`.
        kept: the memory that it uses, which lives until no launch can touch it.
    """

    def __init__(self, job: numpy.ndarray, end: int, kept: object) -> None:
        self.job, self.end = job, end
        self._kept = kept
        self.error: Exception | None = None
        self.is_withdrawn = False
        self.ended = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether no launch needs to have it."""
        return self.is_withdrawn or self.error is not None or int(self.job["done"]) >= self.end


class Launches:
    """Every launch has the next part of each job that waits and has room; a job has as many launches as it needs.

    All blocks of a launch run at once, so that those of a team can wait for one another. What finds no room is before
    all others at the next launch: the first that waits is always taken, so that nobody waits for ever.
    """

    def __init__(self, device: devices.Device) -> None:
        self._device = device
        self._tasks: list[Task] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def run(self, task: Task, tick: Callable[[], None] | None) -> None:
        """Waits for the end of a job; `tick` is called meanwhile, and what it raises takes the job back.

        Raises:
            errors.DeviceFault: the device failed.
        """
        with self._changed:
            self._tasks.append(task)
            if self._thread is None:
                self._thread = threading.Thread(target=self._launch, name="launches", daemon=True)
                self._thread.start()
            self._changed.notify()
        pause = FIRST_LOOK_SECONDS
        try:
            while not task.ended.wait(pause):
                pause = min(2 * pause, LOOK_SECONDS)
                if tick is not None:
                    tick()
        except BaseException:
            task.is_withdrawn = True
            task.ended.wait()  # the launch under way still writes into its memory
            raise
        if task.error is not None:
            raise errors.DeviceFault(f"{self._device.name} failed: {task.error}") from task.error

    def _launch(self) -> None:
        while tasks := self._next():
            try:
                jobs = in_blocks([task.job for task in tasks])
                self._device.run(jobs)
                for task, job in zip(tasks, jobs[jobs["member"] == 0], strict=True):
                    task.job["done"] = job["done"]
            except Exception as error:  # noqa: BLE001  # every job of the launch ends with it
                for task in tasks:
                    task.error = error

    def _next(self) -> list[Task]:
        """Ends what is over; returns the jobs of the next launch, or none where the thread is to end."""
        with self._changed:
            for task in self._tasks:
                if task.is_over:
                    task.ended.set()
            self._tasks = [task for task in self._tasks if not task.is_over]
            if not self._tasks and not self._changed.wait_for(lambda: self._tasks, IDLE_SECONDS):
                self._thread = None
            taken, room = [], self._device.blocks
            for task in self._tasks:
                if (team := int(task.job["team"])) <= room:
                    taken.append(task)
                    room -= team
            self._tasks = [task for task in self._tasks if task not in taken] + taken
            return taken


def in_blocks(jobs: list[numpy.ndarray]) -> numpy.ndarray:
    """A job for each block: those of a team, `member` 0 first, side by side; (blocks,)."""
    found = numpy.stack(jobs)
    teams = found["team"]
    found = found.repeat(teams)
    found["member"] = numpy.concatenate([numpy.arange(team) for team in teams])
    return found


def job_for(layout: layouts.Layout, team: int) -> numpy.ndarray:
    """One of layouts.JOB with all that holds for every epoch of a training but its memory, ()."""
    recipe = layout.recipe
    job = numpy.zeros((), layouts.JOB)
    job["nanoseconds"] = int(1e9 * LAUNCH_SECONDS)
    job["batch"], job["depth"], job["width"] = min(recipe.batch_size, layout.images), recipe.depth, recipe.width or 0
    job["padded"], job["rows"] = layout.padded, layout.rows
    job["activation"], job["rate"] = layouts.CODES[recipe.activation], recipe.learning_rate
    job["team"] = team
    return job
