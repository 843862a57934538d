"""What confirms a search: which seeds, on which images, and what the best of several means is worth."""

import itertools
import pathlib
import statistics
from collections.abc import Sequence

import pytest
from conftest import quick_text
from optuna.trial import TrialState
from trials import begin

from search import errors
from search.ledger import claims, orders, queues, studies, summaries
from search.reports import choices, confirmations, contents, corrections
from search.storage import databases
from search.study import specs
from search.training import records, seeds

SEARCHED = (0.86, 0.90, 0.88, 0.70)
# of the best three in their order, by seed
FRESH = ((0.85, 0.87), (0.88, 0.86), (0.84, 0.83))


def search(opened: databases.Database, evaluate_on: str = "test", value: str = "last") -> studies.Study:
    """A search of four trials that are told."""
    text = quick_text(trials=4, value=value, hopeless="false").replace('"test"', f'"{evaluate_on}"')
    study = studies.create(opened, specs.parse(text, "quick.toml"))
    for found in SEARCHED:
        claims.tell(opened, begin(opened, study), TrialState.COMPLETE, found, {})
    return study


def confirm(opened: databases.Database, study: studies.Study, count: int = 2) -> confirmations.Confirmation:
    """Its best three, confirmed by trials that are told."""
    confirming = confirmations.prepare(opened, study, 3, count)
    for seed, place in itertools.product(range(count), range(3)):
        claims.tell(opened, begin(opened, confirming), TrialState.COMPLETE, FRESH[place][seed], {})
    return confirmations.expect(opened, study)


def test_the_best_of_the_means_is_corrected(opened: databases.Database) -> None:
    """Both figures are there, with the method; what is quoted is the one that choosing adds nothing to."""
    found = confirm(opened, search(opened, "validation"))
    assert [entry.selected for entry in found.entries] == [0.90, 0.88, 0.86]
    assert [tuple(entry.runs.values.values()) for entry in found.entries] == list(FRESH)
    raw = statistics.fmean(FRESH[1])
    corrected = statistics.fmean([FRESH[1][1], FRESH[0][0]])  # each seed judges what the other chose
    assert found.best.runs.mean == raw == pytest.approx(0.87)
    assert found.corrected is not None
    assert found.quoted.mean == found.corrected.mean == pytest.approx(corrected) == pytest.approx(0.855)
    said = found.as_json()
    assert (said["best"]["mean"], said["corrected"]["mean"]) == (raw, found.corrected.mean)
    assert said["corrected"]["half_interval"] > said["best"]["half_interval"]
    assert (said["method"], said["evaluate_on"], said["caution"]) == (corrections.METHOD, "validation", None)
    assert found.sentence().startswith("confirmed: 0.8550 ± ")
    assert ", corrected for being the best of 3 means (it is 0.8700 ± " in found.sentence()
    assert found.remarks() == [
        f"corrected: {corrections.METHOD}",
        "images: the test set, by which `quick` chose nothing",
    ]


def test_what_was_chosen_on_the_test_set_stays_so(opened: databases.Database) -> None:
    """Fresh seeds on the same images cannot be without bias, and that is said; the hold-out's search has none of it."""
    found = confirm(opened, search(opened))
    assert found.caution is not None
    assert found.caution.startswith("chosen on the test set: the seeds are fresh, the images are not")
    assert found.remarks()[1] == found.as_json()["caution"] == found.caution
    confirming = studies.load(opened, "quick-confirm")
    assert confirming.spec.training is not None
    assert confirming.spec.training.evaluate_on == "test"


def test_one_seed_corrects_nothing(opened: databases.Database) -> None:
    """It says so, and how many do."""
    found = confirm(opened, search(opened, "validation"), count=1)
    assert (found.corrected, found.as_json()["method"], found.as_json()["corrected"]) == (None, None, None)
    assert found.quoted.mean == 0.88
    assert "too high for being the best of 3: two seeds or more correct that" in found.sentence()


def test_the_confirming_study_measures_as_the_search_did(opened: databases.Database) -> None:
    """The mean of the last epochs where that was asked for; also where the default has become another one since."""
    found = confirm(opened, search(opened, "validation", "mean-of-last-3"))
    confirming = studies.load(opened, "quick-confirm")
    assert confirming.spec.training is not None
    assert confirming.spec.training.value == "mean-of-last-3"
    assert found.remarks()[-1] == "every value is the mean accuracy of its last three epochs"
    text = studies.load(opened, "quick").spec.text.replace('value = "mean-of-last-3"\n', "")
    before = studies.create(opened, specs.parse_stored(text.replace('"quick"', '"before"'), "stored"))
    assert "value" in choices.spec(before, 1, "x").said


def test_the_search_s_own_seed_confirms_nothing(opened: databases.Database) -> None:
    """All of a search has one seed; none of those that confirm it is that, or one that any trial of it had."""
    study = search(opened)
    trials = summaries.whole(opened, study).trials
    assert {records.repeat_of(trial) for trial in trials} == {0}
    worst = min(trials, key=lambda trial: float(trial.value or 0))
    orders.extend(opened, study, add=2)
    queues.repeat(opened, study, worst.params, 2)  # repeats 1 and 2 of a configuration that is not chosen
    for state in (TrialState.PRUNED, TrialState.COMPLETE):
        claims.tell(opened, begin(opened, study), state, 0.7, {})
    wanted = choices.wanted(opened, study, 3, 2)
    assert {repeat for _, repeat in wanted} == {3, 4}
    assert study.spec.study.seed not in {seeds.of(study.spec.study.seed, repeat) for _, repeat in wanted}


def test_a_confirming_study_with_the_search_s_seed_is_refused(opened: databases.Database) -> None:
    """Somebody repeated a configuration in it with that seed: its values are left out, and it is no confirmation."""
    study = search(opened)
    confirm(opened, study)
    confirming = studies.load(opened, "quick-confirm")
    best = confirmations.expect(opened, study).entries[0].runs.params
    queues.fill(opened, confirming, [(best, 0)])
    orders.extend(opened, confirming, add=1)
    claims.tell(opened, begin(opened, confirming), TrialState.COMPLETE, 0.999, {})
    found = confirmations.expect(opened, study)
    assert list(found.entries[0].runs.values.values()) == list(FRESH[0])
    with pytest.raises(errors.InputError, match="must have fresh seeds to confirm 'quick', got 1"):
        confirmations.known(opened, study, 3, 2)


def test_the_same_question_has_the_same_answer(opened: databases.Database) -> None:
    """Also where the search has repeated its configurations since, with the very seeds that confirmed it."""
    study = search(opened)
    first = confirm(opened, study)
    last = summaries.whole(opened, study).trials[3]
    orders.extend(opened, study, add=1)
    queues.fill(opened, study, [(last.params, 1)])
    claims.tell(opened, begin(opened, study), TrialState.COMPLETE, 0.6, {})
    again = confirmations.known(opened, study, 3, 2)
    assert again is not None
    assert again.as_json() == first.as_json()
    with pytest.raises(errors.InputError, match="another choice of 'quick' already \\(--top 3 --seeds 2\\)"):
        confirmations.known(opened, study, 2, 2)


def test_a_report_says_what_the_test_set_chose(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """At the best value, in the facts, in the chapter that confirms it, and to programs."""
    study = search(opened)
    confirm(opened, study)
    written = contents.write(opened, [study], tmp_path / "tested")
    page = written.markdown.read_text()
    assert list(written.cautions) == ["quick"]
    assert "best accuracy of quick, chosen on the test set" in page
    assert "- Chosen on the test set: of many noisy values the best is too good" in page
    assert "- Chosen on the test set: the seeds are fresh, the images are not" in page
    assert f"- Corrected: {corrections.METHOD}." in page
    spared = studies.create(opened, specs.parse(quick_text(name="spared").replace('"test"', '"validation"'), "x.toml"))
    claims.tell(opened, begin(opened, spared), TrialState.COMPLETE, 0.5, {})
    written = contents.write(opened, [spared], tmp_path / "spared")
    page = written.markdown.read_text()
    assert written.cautions == {}
    assert "hosen on the test set" not in page
    assert "- Chosen on images held out of the training set, a sixth of it" in page


OWN = """
objective = "mine:objective"
[study]
name = "own"
direction = "minimize"
metric = "loss"
[space]
x = { low = 0.0, high = 1.0 }
[sampler]
name = "random"
[budget]
trials = 4
max_failures = 3
"""


def own(opened: databases.Database, fresh: Sequence[Sequence[float]]) -> confirmations.Confirmation:
    """A search for the least loss by code of the user's own, and its best two with the values of fresh seeds."""
    study = studies.create(opened, specs.parse(OWN, "own.toml"))
    for found in (0.5, 2e-9, 3e-9, 7e8):
        claims.tell(opened, begin(opened, study), TrialState.COMPLETE, found, {})
    confirming = confirmations.prepare(opened, study, 2, len(fresh[0]))
    assert confirming.spec.budget.max_failures == 3
    for seed, place in itertools.product(range(len(fresh[0])), range(2)):
        claims.tell(opened, begin(opened, confirming), TrialState.COMPLETE, fresh[place][seed], {})
    return confirmations.expect(opened, study)


def test_less_is_better_of_own_code(opened: databases.Database) -> None:
    """The least are chosen, the best is the least, the correction makes it larger, and a search is too low."""
    found = own(opened, ((4e-9, 6e-9), (5e-9, 4e-9)))
    assert [entry.selected for entry in found.entries] == [2e-9, 3e-9]
    assert found.best.runs.mean == pytest.approx(4.5e-9)
    assert found.corrected is not None
    assert found.corrected.mean == pytest.approx(5.5e-9)  # each seed judges what the other chose
    assert [entry.optimism for entry in found.entries] == pytest.approx([3e-9, 1.5e-9])
    said = found.sentence()
    assert said.startswith("confirmed: loss 5.5e-09 ± ")
    assert said.endswith("the search's values were 2.25e-09 too low on average over 2")
    assert "test set" not in said
    assert found.remarks()[1].startswith("values: the loss is what mine:objective returns or yields last")
    assert found.as_json()["seeds_matter"]


def test_a_seed_that_nothing_uses_is_told(opened: databases.Database) -> None:
    """All seeds gave what the search had: nothing was measured anew, and no interval of 0 says otherwise."""
    found = own(opened, ((2e-9, 2e-9), (3e-9, 3e-9)))
    said = found.sentence()
    assert said.startswith("confirmed: loss 2e-09, with x ")
    assert said.endswith("; every seed gave the same value: the objective does not use trial.seed")
    assert "±" not in said
    assert not found.as_json()["seeds_matter"]


def test_code_that_has_changed_since_is_named(opened: databases.Database) -> None:
    """As a replay says it, to programs too; where nothing was recorded, or nothing changed, there is no such line."""
    study = studies.create(opened, specs.parse(OWN, "own.toml"))
    then, now = {"mine.py": "aa", "lib.py": "cc", "old.py": "dd"}, {"mine.py": "bb", "lib.py": "cc"}
    for found in (0.5, 0.4):
        claims.tell(opened, begin(opened, study), TrialState.COMPLETE, found, {records.CODE.name: then})
    for code, said in ((now, ["mine.py has changed since", "old.py is no longer imported"]), (then, []), (None, [])):
        name = f"again-{len(said)}-{code is None}"
        confirming = confirmations.prepare(opened, study, 1, 2, name)
        for value in (0.4, 0.45):
            told = {} if code is None else {records.CODE.name: code}
            claims.tell(opened, begin(opened, confirming), TrialState.COMPLETE, value, told)
        found = confirmations.expect(opened, study, name)
        assert found.as_json()["changed"] == said
        lines = [line for line in found.remarks() if line.startswith("code: ")]
        assert lines == ([f"code: {'; '.join(said)}, so it is not what the search ran"] if said else [])


def test_a_study_of_other_code_confirms_nothing(opened: databases.Database) -> None:
    """One of that name that runs something else is refused before anything of it runs."""
    study = studies.create(opened, specs.parse(OWN, "own.toml"))
    claims.tell(opened, begin(opened, study), TrialState.COMPLETE, 0.5, {})
    other = OWN.replace('"own"', '"own-confirm"').replace("mine:objective", "os:getcwd")
    studies.create(opened, specs.parse(other, "own.toml"))
    assert confirmations.read(opened, study) is None
    with pytest.raises(errors.InputError, match="study 'own-confirm' runs os:getcwd, 'own' runs mine:objective"):
        confirmations.prepare(opened, study, 1, 1)
