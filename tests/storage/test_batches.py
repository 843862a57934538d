"""A study's rows by batches of its trials."""

from collections.abc import Callable

import optuna
import pytest
from optuna.trial import TrialState

from search.ledger import studies
from search.storage import batches, databases, schema

Make = Callable[..., studies.Study]


def test_each_batch_holds_the_study_s_own_trials_in_their_order(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where two studies grow side by side, none is missed, seen twice, or another's; what is added is as it was."""
    monkeypatch.setattr(batches, "BATCH_TRIALS", 3)
    one, other, third = make_study(name="one"), make_study(name="other"), make_study(name="third")
    for number in range(7):
        for study, value in ((one, float(number)), (other, -1.0)):
            plain = optuna.load_study(study_name=study.name, storage=opened.optuna)
            plain.add_trial(optuna.trial.create_trial(value=value, user_attrs={"a": number}))

    def copied(connection: object) -> list[list[int]]:
        sizes = []
        for rows in batches.of_trials(connection, one.study_id):  # type: ignore[arg-type]
            new_ids = batches.add_trials(connection, third.study_id, rows)  # type: ignore[arg-type]
            for table in (schema.values, schema.attributes):
                batches.carry(connection, connection, table, new_ids, {})  # type: ignore[arg-type]
            sizes.append([row.number for row in rows])
        return sizes

    assert opened.write(copied) == [[0, 1, 2], [3, 4, 5], [6]]
    assert opened.read(lambda connection: batches.count(connection, third.study_id)) == 7
    found = opened.optuna.get_all_trials(third.study_id)
    before = opened.optuna.get_all_trials(one.study_id)
    assert [(t.number, t.state, t.value, t.user_attrs) for t in found] == [
        (number, TrialState.COMPLETE, float(number), {"a": number}) for number in range(7)
    ]
    assert [t.datetime_complete for t in found] == [t.datetime_complete for t in before]
    assert {t._trial_id for t in found}.isdisjoint(t._trial_id for t in before)
