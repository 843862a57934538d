"""Writes of many rows."""

from collections.abc import Callable

import sqlalchemy
from trials import claim as take

from search.ledger import claims, configurations, studies
from search.space import spaces
from search.storage import databases, schema, statements

TOTALS = sqlalchemy.select(sqlalchemy.func.count(), sqlalchemy.func.sum(schema.steps.c.intermediate_value))
ATTRIBUTES = sqlalchemy.select(schema.attributes.c.key, schema.attributes.c.value_json)
Make = Callable[..., studies.Study]


def test_any_number_of_reports_at_once(opened: databases.Database, make_study: Make) -> None:
    """100,000 steps and 20,000 attributes in one report are stored, and replaced by the next."""
    study = make_study()
    claim = take(opened, study)
    for value in (0.25, 0.5):
        steps = dict.fromkeys(range(1, 100_001), value)
        claims.report(opened, claim, steps, 1.0, {f"key {number}": number + value for number in range(20_000)})
        rows = opened.read(lambda c: c.execute(TOTALS).all())
        assert rows == [(100_000, 100_000 * value)]
        rows = opened.read(lambda c: c.execute(ATTRIBUTES).all())
        assert {key: float(text) for key, text in rows} == {f"key {n}": n + value for n in range(20_000)}


def test_any_number_of_parameters(opened: databases.Database, make_study: Make) -> None:
    """They are stored in their order, and what is there stays."""
    study = make_study()
    claim = take(opened, study)
    params = configurations.configure(opened, study, claim, opened.history(study.study_id))
    one = next(iter(study.spec.space.parameters)).distribution
    more: spaces.Params = {f"p{number}": one.to_external_repr(0) for number in range(20_000)}
    space = dict.fromkeys(more, one)
    for _ in range(2):  # the second time as after a commit whose acknowledgement was lost
        opened.write(lambda connection: statements.add_params(connection, claim.trial_id, more, space))
    found = opened.read(lambda connection: statements.read_params(connection, claim.trial_id))
    assert list(found) == [*params, *more]
