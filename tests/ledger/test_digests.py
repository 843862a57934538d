"""Digests of many studies say what a summary says of each."""

import pytest
import sqlalchemy
from mixtures import mixed
from trials import Make

from search.ledger import digests, studies, summaries
from search.storage import databases

SAME = ("order", "states", "done", "failures", "added", "outside")


def test_they_are_the_summaries_in_a_few_queries(opened: databases.Database, make_study: Make, url: str) -> None:
    """Counts, sums and the best of each, one query for each study's best and the same few for all."""
    asked: list[studies.Study] = [mixed(opened, url, seed=4), make_study(), mixed(opened, url, seed=4, number_of=16)]
    queries: list[str] = []
    sqlalchemy.event.listen(opened.engine, "before_cursor_execute", lambda *given: queries.append(given[2]))
    found = opened.read(lambda connection: digests.read(connection, [asked[1]]))
    once = len(queries)
    empty = [make_study(name=f"empty-{number}") for number in range(5)]
    queries.clear()
    opened.read(lambda connection: digests.read(connection, [asked[1], *empty]))
    assert len(queries) == once + len(empty)
    found = opened.read(lambda connection: digests.read(connection, asked))
    assert list(found) == [study.study_id for study in asked]
    for study in asked:
        digest, summary = found[study.study_id], summaries.summary(opened, study)
        assert {name: getattr(digest, name) for name in SAME} == {name: getattr(summary, name) for name in SAME}
        assert digest.seconds == pytest.approx(summary.seconds)
        assert (digest.best and digest.best.params) == (summary.best and summary.best.params)
    gone = studies.Study(asked[1].study_id, asked[1].spec, "another's token")
    assert opened.read(lambda connection: digests.read(connection, [gone])) == {}
