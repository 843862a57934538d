"""The batch script of docs/slurm.md, with a stand-in for srun: signals come as slurmstepd sends them."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from conftest import ROOT, Server, quick_text
from optuna.trial import TrialState

from search.ledger import studies, summaries
from search.storage import databases

pytestmark = pytest.mark.slow
SCRIPT = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "slurm.md").read_text(), re.DOTALL)[0]
# tasks beside one another; of signals that reach it itself it takes no notice, its tasks have them too
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
trap : TERM USR1 CONT
tasks=()
for ((i = 0; i < SLURM_NTASKS; i++)); do SLURM_PROCID=$i "$@" & tasks+=($!); done
code=0
for task in "${tasks[@]}"; do
    wait "$task"; ended=$?
    while kill -0 "$task" 2>/dev/null; do wait "$task"; ended=$?; done
    ((ended > code)) && code=$ended
done
exit $code
"""


class Job:
    """The script, begun by a stand-in for sbatch."""

    def __init__(self, url: str, folder: pathlib.Path) -> None:
        self.url, self.folder = url, folder
        self.process: subprocess.Popen[bytes] | None = None
        commands = folder / "bin"
        commands.mkdir()
        for name, text in (("srun", SRUN), ("search", f'#!/bin/sh\nexec {sys.executable} -m search "$@"\n')):
            (commands / name).write_text(text)
            (commands / name).chmod(0o755)
        (folder / "job.sh").write_text(re.sub(r"(?m)^export SEARCH_STORAGE=.*$", "", SCRIPT))

    def start(self) -> None:
        with (self.folder / "slurm.out").open("ab") as output:
            self.process = subprocess.Popen(
                ["bash", "job.sh"],
                cwd=self.folder,
                env={
                    **os.environ,
                    "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                    "PYTHONPATH": str(ROOT),
                    "SEARCH_STORAGE": self.url,
                    "SLURM_NTASKS": "2",
                },
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def send(self, *numbers: int) -> None:
        """To every process of the job, as slurmstepd does."""
        assert self.process is not None
        top = psutil.Process(self.process.pid)
        everyone = [top, *top.children(recursive=True)]
        for number in numbers:
            for each in everyone:
                try:
                    each.send_signal(number)
                except psutil.NoSuchProcess:
                    continue

    def wait(self, seconds: float) -> int:
        assert self.process is not None
        return self.process.wait(seconds)


@pytest.fixture
def job(postgres: Server, tmp_path: pathlib.Path) -> Iterator[Job]:
    made = Job(postgres.new_database(postgres.prepared), tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.send(signal.SIGKILL)
        made.wait(30)


def until(holds: Callable[[], bool], output: pathlib.Path) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.2)


def test_a_job_is_cut_off_requeued_and_killed_without_loss(job: Job, tmp_path: pathlib.Path) -> None:
    """USR1 before the limit, TERM at it and KILL out of the blue: the next job goes on, and the count is exact."""
    (tmp_path / "my-study.toml").write_text(quick_text("my-study", trials=6, epochs=300, hopeless="false", slow=True))
    database = databases.Database(job.url, patience_seconds=30)

    def count(state: TrialState) -> int:
        found = studies.find(database, "my-study")
        return 0 if found is None else summaries.whole(database, found).count(state)

    output = tmp_path / "slurm.out"
    for signals in ((signal.SIGUSR1,), (signal.SIGCONT, signal.SIGTERM)):
        job.start()
        until(lambda: count(TrialState.RUNNING) == 2, output)
        job.send(*signals)
        assert job.wait(30) == 0, output.read_text()
        assert (count(TrialState.RUNNING), count(TrialState.FAIL)) == (0, 0)
        assert count(TrialState.WAITING) == 2
    job.start()
    until(lambda: count(TrialState.RUNNING) == 2, output)
    job.send(signal.SIGKILL)
    assert job.wait(30) != 0
    assert count(TrialState.RUNNING) == 2
    job.start()
    assert job.wait(240) == 0, output.read_text()
    assert (count(TrialState.COMPLETE), count(TrialState.FAIL)) == (6, 0)
    database.close()


def test_the_script_is_ten_lines() -> None:
    """What docs/slurm.md calls ten lines are ten."""
    assert len(SCRIPT.strip().splitlines()) == 10
