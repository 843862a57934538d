"""What Prometheus scrapes: the state of every study, read from the database when asked."""

import collections
import contextlib
import threading
import time
from collections.abc import Iterator

from prometheus_client import core, registry

from models import datasets
from search import errors
from search.ledger import backlogs, goals, listings, rosters, stops, studies, summaries, works
from search.storage.databases import Database

RATE_SECONDS = 60.0  # over which a rate is taken, as far as there were scrapes

Families = dict[str, core.GaugeMetricFamily | core.CounterMetricFamily]

Key = tuple[int, str]

GAUGES = {
    "search_todo_trials": "Trials that run or may begin, which workers are there for",
    "search_paused_trials": "Trials that have paused at a rung, of those that wait",
    "search_best_value": "Best value of a complete trial",
    "search_budget_trials": "Trials that may finish",
    "search_budget_hours": "Training time after which no trial begins, hours; absent without a limit",
    "search_target": "Value that is enough; absent without one, as all limits",
    "search_patience_trials": "Finished trials without improvement after which no trial begins",
    "search_unimproved_trials": "Finished trials without improvement so far, where there is a patience",
    "search_regret": "Regret that is enough",
    "search_regret_bound": "What the sampler's model said last that the regret is at most",
    "search_deadline_seconds": "Until the deadline, 0 where it has passed; absent before its run has begun",
    "search_active": "1 while trials may begin, 0 while the study is paused, stopped or has failed too often",
    "search_workers_alive": "Workers seen within their grace, busy or idle",
    "search_orphans": "Running trials whose worker is gone, waiting to be adopted",
    "search_lacked_trials": "Trials that wait for the engine they were begun with, which no living worker has",
    "search_epochs_per_second": "Epochs finished, over the last minute of scrapes",
    "search_samples_per_second": "Training images seen, over the last minute of scrapes",
}
COUNTERS = {
    "search_epochs": "Epochs that trials have reached",
    "search_samples": "Training images seen in them",
    "search_adoptions": "Trials taken over from a worker that was gone",
    "search_cpu_hours": "Training time over all trials and workers, of one thread each, hours",
}


class Collector(registry.Collector):
    """Reads all studies of a storage at each scrape, by a few queries."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # by id and token: SQLite gives the ids of deleted studies out again
        self._rates: dict[Key, Rate] = {}
        self._lock = threading.Lock()

    def collect(self) -> Iterator[core.Metric]:
        """One family per metric, one sample per study.

        Raises:
            errors.StorageError: the database is away.
        """
        families: Families = {
            **{name: core.GaugeMetricFamily(name, text, labels=["study"]) for name, text in GAUGES.items()},
            **{name: core.CounterMetricFamily(name, text, labels=["study"]) for name, text in COUNTERS.items()},
        }
        trials = core.GaugeMetricFamily("search_trials", "Trials by state", labels=["study", "state"])
        ended = core.GaugeMetricFamily(
            "search_ended", "1 where a limit has ended the study, for each that is set", labels=["study", "limit"]
        )
        workers = core.GaugeMetricFamily("search_workers", "Workers alive by device", labels=["study", "device"])
        todo = core.GaugeMetricFamily("search_all_todo_trials", "The same, over all studies")
        unreadable = core.GaugeMetricFamily("search_unreadable_studies", "Studies that cannot be read, nor shown here")
        with self._lock:  # two scrapers at once would share a rate
            found = listings.read(self._database, foreign=False, brief=True)
            work, crews = works.read(self._database), rosters.all_of(self._database)
            reserved = backlogs.configurations(self._database)
            shown, left = [], 0
            for summary in (each for each in found if isinstance(each, summaries.Summary)):
                with contextlib.suppress(errors.InputError), listings.named(summary.study.name):
                    study_id = summary.study.study_id
                    done, crew = work.get(study_id, works.Work(0, 0)), crews.get(study_id, rosters.NOBODY)
                    self._add(summary, done, crew, families, trials)
                    for device, count in collections.Counter(member.device for member in crew.members).items():
                        workers.add_metric([summary.study.name, device], count)
                    of_study = backlogs.todo(summary, reserved.get(study_id, 0))
                    families["search_todo_trials"].add_metric([summary.study.name], of_study)
                    left += of_study
                    for limit in (each for each in stops.Stop if getattr(summary.order, each) is not None):
                        ended.add_metric([summary.study.name, limit], int(limit is summary.stop))
                    shown.append(summary)
            self._keep({_key(summary.study) for summary in shown})
        unreadable.add_metric([], len(found) - len(shown))
        todo.add_metric([], left)
        yield from (trials, *families.values(), ended, workers, todo, unreadable)

    def _keep(self, keys: set[Key]) -> None:
        """Forgets studies that are gone."""
        for key in self._rates.keys() - keys:
            del self._rates[key]

    def _add(
        self,
        summary: summaries.Summary,
        work: works.Work,
        crew: rosters.Roster,
        families: Families,
        trials: core.GaugeMetricFamily,
    ) -> None:
        study = summary.study
        images = _images(study)
        epochs_per_second = self._rates.setdefault(_key(study), Rate()).after(work.epochs, time.monotonic())
        found: dict[str, float | None] = {
            "search_paused_trials": summary.paused,
            "search_best_value": summary.best.value if summary.best else None,
            "search_budget_trials": summary.budget,
            "search_budget_hours": summary.order.hours,
            **_limits(summary),
            "search_active": int(summary.order.state.value == "active" and summary.reason is None),
            "search_workers_alive": len(crew.members),
            "search_orphans": len(crew.orphans),
            "search_lacked_trials": 0 if backlogs.is_closed(summary) else sum(crew.lacked.values()),
            "search_epochs_per_second": epochs_per_second,
            "search_samples_per_second": images and epochs_per_second * images,
            "search_epochs": work.epochs,
            "search_samples": images and work.epochs * images,
            "search_adoptions": work.adoptions,
            "search_cpu_hours": summary.seconds / 3600,
        }
        for state, count in summary.as_json()["trials"].items():
            trials.add_metric([study.name, state], count)
        for name, value in found.items():
            if value is not None:
                families[name].add_metric([study.name], value)


def _limits(summary: summaries.Summary) -> dict[str, float | None]:
    found = goals.as_json(summary)
    left = found["deadline_seconds"]
    return {
        "search_target": found["target"],
        "search_patience_trials": found["patience"],
        "search_unimproved_trials": found["unimproved"],
        "search_regret": found["regret"],
        "search_regret_bound": found["regret_bound"],
        "search_deadline_seconds": None if left is None else max(0.0, left),
    }


class Rate:
    """Growth of a count per second, between the scrapes of the last minute."""

    def __init__(self) -> None:
        self._seen: collections.deque[tuple[float, int]] = collections.deque()

    def after(self, count: int, now: float) -> float:
        """The rate with this count, seen now; 0 at the first."""
        self._seen.append((now, count))
        while len(self._seen) > 2 and self._seen[1][0] <= now - RATE_SECONDS:
            self._seen.popleft()
        start, first = self._seen[0]
        return max(0.0, (count - first) / (now - start)) if now > start else 0.0


def _key(study: studies.Study) -> Key:
    return study.study_id, study.token


def _images(study: studies.Study) -> int | None:
    """How many images an epoch sees; None with an objective of the user's own."""
    training = study.spec.training
    if training is None:
        return None
    images = datasets.TRAINING_IMAGES[training.dataset]
    return images - datasets.held_out(images) if training.evaluate_on == "validation" else images
