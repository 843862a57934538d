"""Studies side by side: what is said of which is better, and what refuses to be compared."""

import pathlib
from collections.abc import Sequence

import optuna
import pytest
from conftest import quick_text
from optuna.trial import TrialState
from scipy import stats
from trials import begin

import search
from search import errors
from search.ledger import claims, listings, orders, outsiders, studies
from search.reports import comparison_sentences, comparisons, confirmations, corrections, entrants, evidence
from search.reports.comparisons import Comparison
from search.storage import databases
from search.study import specs

FRESH = {"a": ((0.84, 0.83, 0.85), (0.80, 0.81, 0.79)), "b": ((0.88, 0.87, 0.89), (0.86, 0.87, 0.87))}


def made(opened: databases.Database, name: str, values: Sequence[float] = (0.80, 0.90), **more: str) -> studies.Study:
    """A study whose trials are told."""
    text = quick_text(name, trials=len(values), hopeless="false", sampler=more.pop("sampler", "random"))
    for old, new in more.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    study = studies.create(opened, specs.parse(text, "quick.toml"))
    for value in values:
        claims.tell(opened, begin(opened, study), TrialState.COMPLETE, value, {})
    return study


def confirmed(opened: databases.Database, study: studies.Study, fresh: Sequence[Sequence[float]]) -> None:
    confirming = confirmations.prepare(opened, study, len(fresh), len(fresh[0]))
    for seed in range(len(fresh[0])):
        for own in fresh:
            claims.tell(opened, begin(opened, confirming), TrialState.COMPLETE, own[seed], {})


def compared(opened: databases.Database, *found: studies.Study) -> Comparison:
    return comparisons.of([entrants.read(opened, study) for study in found])


def test_confirmed_bests_are_told_apart(opened: databases.Database) -> None:
    """The difference of what is quoted, Welch's interval of the raw means, widened by both corrections."""
    pair = [made(opened, name) for name in "ab"]
    for study in pair:
        confirmed(opened, study, FRESH[study.name])
    (found,) = compared(opened, *pair).pairs
    quoted = [corrections.best([dict(enumerate(own)) for own in FRESH[name]]) for name in "ab"]
    raw = [max(FRESH[name], key=sum) for name in "ab"]
    assert quoted[0] is not None
    assert quoted[1] is not None
    assert found.difference.mean == pytest.approx(quoted[0].mean - quoted[1].mean)
    low, high = stats.ttest_ind(*raw, equal_var=False).confidence_interval(evidence.LEVEL)
    shifts = [each.mean - sum(own) / 3 for each, own in zip(quoted, raw, strict=True)]  # type: ignore[union-attr]
    assert found.difference.half == pytest.approx(((high - low) ** 2 / 4 + shifts[0] ** 2 + shifts[1] ** 2) ** 0.5)
    assert found.difference.is_real
    said = comparison_sentences.verdicts(compared(opened, *pair))
    assert "the confirmed best of b is better than that of a: a beside b -0.0" in said[1]
    assert said[-1] == comparison_sentences.ONE_DRAW
    assert said[2].startswith("chosen on the test set, so the best is too good: a, b")


def test_several_pairs_hold_together(opened: databases.Database) -> None:
    """Three studies are three pairs: each interval is wider than that of one pair alone."""
    three = [made(opened, name) for name in "abc"]
    for study in three:
        confirmed(opened, study, FRESH["b" if study.name == "c" else study.name])
    pairs = compared(opened, *three).pairs
    (alone,) = compared(opened, *three[:2]).pairs
    assert [(pair.first.label, pair.second.label) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert pairs[0].difference.mean == alone.difference.mean
    assert pairs[0].difference.half > alone.difference.half
    assert (pairs[2].difference.mean, pairs[2].difference.is_real) == (0, False)
    said = comparison_sentences.verdicts(compared(opened, *three))
    assert any(line.startswith("b and c cannot be told apart by their confirmed bests: +0.0000 ± ") for line in said)
    assert any("the 3 intervals are so wide that all of them hold together" in line for line in said)


def test_one_seed_tells_nothing(opened: databases.Database) -> None:
    """And it says how many do."""
    pair = [made(opened, name) for name in "ab"]
    for study in pair:
        confirmed(opened, study, [[0.8]])
    said = comparison_sentences.verdicts(compared(opened, *pair))
    assert said[1] == "a and b have too few fresh seeds to be told apart: two or more each do"


def test_what_is_not_confirmed_is_not_told_apart(opened: databases.Database) -> None:
    """The best of several noisy values is too good, one search is one draw, and what would measure it is named."""
    pair = [made(opened, "a"), made(opened, "b", (0.7, 0.85))]
    found = compared(opened, *pair)
    assert found.pairs == []
    assert comparison_sentences.verdicts(found) == [
        "the best accuracy is that of a, 0.9000, by 0.0500; each is the best of several noisy values, and so too high "
        "for what it is worth",
        "not confirmed, so not told apart: `search confirm a`, `search confirm b` would measure the best with fresh "
        "seeds",
        comparison_sentences.ONE_DRAW,
    ]
    assert found.shared == 0.85
    interval = found.entries[0].interval
    expected = stats.binomtest(180, 200).proportion_ci(method="wilson")
    assert interval == pytest.approx((expected.low, expected.high))
    assert found.differences == []


def test_what_fresh_seeds_have_measured_is_said(opened: databases.Database) -> None:
    """Of one study too, where the other is not confirmed yet."""
    pair = [made(opened, "a"), made(opened, "b", (0.7, 0.85))]
    confirmed(opened, pair[0], FRESH["a"])
    said = comparison_sentences.verdicts(compared(opened, *pair))
    quoted = compared(opened, *pair).entries[0].confirmation
    assert quoted is not None
    assert said[0].endswith(f"what it is worth; confirmed with fresh seeds: a {quoted.quoted.show()}")
    (still,) = [line for line in said if line.startswith("not confirmed")]
    assert "`search confirm b`" in still
    assert "`search confirm a`" not in still


def test_what_values_are_of_is_said(opened: databases.Database) -> None:
    """Another dataset, other images, other code, no complete trial: a plain line each, and the table all the same."""
    others = [
        made(opened, "a"),
        made(opened, "b", test="validation"),
        made(opened, "c", synthetic="mnist"),
        studies.create(opened, specs.parse(quick_text("d"), "quick.toml")),
    ]
    said = comparison_sentences.cautions(compared(opened, *others))
    assert said == [
        "training.dataset differs (synthetic: a and b and d, mnist: c): the values are not of the same thing",
        "training.evaluate_on differs (test: a and c and d, validation: b): the values are not of the same thing",
        "d has no complete trial yet",
    ]
    found = compared(opened, others[0], others[3])
    assert comparison_sentences.verdicts(found) == [
        "nothing can be compared: fewer than two of the studies have a complete trial"
    ]


def test_the_budget_that_is_in_force_is_compared(opened: databases.Database) -> None:
    """What was extended is no longer what the file says; samplers stand beside one another."""
    pair = [made(opened, "a"), made(opened, "b", sampler="tpe")]
    orders.extend(opened, pair[0], to=7)
    assert compared(opened, *pair).differences == [("sampler.name", ["random", "tpe"]), ("budget.trials", ["7", "2"])]


def plain(url: str, name: str, direction: str = "maximize", metric: str | None = None) -> None:
    study = optuna.create_study(study_name=name, storage=url, direction=direction)
    if metric is not None:
        study.set_metric_names([metric])
    study.add_trial(optuna.trial.create_trial(value=0.5))


def outsider(database: databases.Database, name: str) -> outsiders.Outsider:
    found = listings.one(database, studies.load_stored(database, name))
    assert isinstance(found, outsiders.Outsider)
    return found


def test_only_one_metric_and_direction_are_compared(url: str, opened: databases.Database) -> None:
    """A study that names no metric is taken for one of the others, and that is said; in a report others stay apart."""
    ours = made(opened, "ours")
    plain(url, "unnamed")
    plain(url, "down", "minimize", "accuracy")
    plain(url, "loss", "maximize", "loss")
    found = {name: entrants.read(opened, outsider(opened, name)) for name in ("unnamed", "down", "loss")}
    mine = entrants.read(opened, ours)
    both = comparisons.of([mine, found["unnamed"]])
    assert both.metric == "accuracy"
    said = comparison_sentences.cautions(both)
    assert "unnamed: no metric is named, it is taken for accuracy" in said
    with pytest.raises(errors.InputError, match="must have one direction: ours has maximize, down has minimize"):
        comparisons.of([mine, found["down"]])
    with pytest.raises(errors.InputError, match="must have one metric: ours has accuracy, loss has loss"):
        comparisons.of([mine, found["loss"]])
    assert comparisons.comparable([mine, found["down"], found["loss"]]) == []


def test_a_report_of_several_searches_sets_them_side_by_side(
    url: str, opened: databases.Database, tmp_path: pathlib.Path
) -> None:
    """One chapter more, with its picture; a report of one study has none, nor has what cannot be compared."""
    for name in "ab":
        made(opened, name)
    plain(url, "down", "minimize")
    page = search.report("a", "b", "down", output=tmp_path / "two", storage=url)
    text = page.with_name("report.md").read_text()
    assert "\n## a beside b: compared\n" in text
    assert (tmp_path / "two" / "figures" / "a-b-compared.png").is_file()
    alone = search.report("a", output=tmp_path / "one", storage=url).with_name("report.md")
    assert ": compared\n" not in alone.read_text()
