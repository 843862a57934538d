"""Studies with trials of every kind: ours and other tools', ended in every way, put back, added."""

import random

import optuna
from conftest import quick_text
from optuna.trial import TrialState
from trials import GONE, ME, begin, fail

from search.ledger import claims, retries, studies
from search.storage import databases
from search.study import specs
from search.training import records


def mixed(database: databases.Database, url: str, seed: int, number_of: int = 40) -> studies.Study:
    """Trials of ours and of plain Optuna, ended in every way, some put back, some added."""
    drawn = random.Random(seed)
    text = quick_text(name=f"of-{number_of}", trials=60, hopeless="false")
    study = studies.create(database, specs.parse(text, "quick.toml"))
    plain = optuna.load_study(study_name=study.name, storage=url)
    kinds = {p.name: p.distribution for p in study.spec.space.parameters if not p.when}
    for number in range(number_of):
        if number % 8 == 5:
            trial = plain.ask({**kinds, "depth": optuna.distributions.IntDistribution(0, 0)})
            if drawn.random() < 0.7:
                plain.tell(trial, drawn.random())
            continue
        if number % 8 == 6:
            odd = optuna.distributions.FloatDistribution(0, 9)
            plain.add_trial(optuna.trial.create_trial(params={"x": 1.0}, distributions={"x": odd}, value=1e9))
            continue
        claim = begin(database, study, drawn.choice([ME, GONE]))
        claims.report(database, claim, {1: drawn.random()}, drawn.uniform(1, 9), {})
        act = drawn.choice(["complete", "complete", "pruned", "fail", "hand over", "leave"])
        if act == "complete":
            claims.tell(database, claim, TrialState.COMPLETE, round(drawn.random(), 1), {records.SECONDS.name: 2.0})
        elif act == "pruned":
            claims.tell(database, claim, TrialState.PRUNED, None, {records.REASON.name: f"slow: {number}"})
        elif act == "fail":
            fail(database, claim, f"ValueError: {number}")
            if drawn.random() < 0.8:
                retries.retry(database, study, [claim.number])
        elif act == "hand over":
            claims.hand_over(database, claim, 3.0)
    return study
