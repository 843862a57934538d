"""By what the trials of a study are judged, in words."""

from conftest import quick_text

from search.study import judgements, specs

OWN = 'objective = "own:f"\n[study]\nname = "own"\n[space]\nx = [1, 2]\n[budget]\ntrials = 2\n'
ONE = (
    '[study]\nname = "one"\n[training]\nevaluate_on = "test"\n[space]\nlearning_rate = [0.1]\nbatch_size = [8]\n'
    'depth = [1]\nwidth = [8]\nactivation = ["ReLU"]\n[budget]\ntrials = 1\n'
)


def spec(text: str) -> specs.StudySpec:
    return specs.parse(text, "x.toml")


def test_a_best_that_the_test_set_chose_is_said_to_be() -> None:
    """In plain words, with what measures it; not where nothing was chosen, and not of an objective of one's own."""
    chosen, spared = spec(quick_text()), spec(quick_text().replace('"test"', '"validation"'))
    found = judgements.caution(chosen)
    assert found is not None
    assert found.startswith("chosen on the test set: ")
    assert "`search confirm quick` measures it with fresh seeds" in found
    assert judgements.lines(chosen) == [found]
    assert [judgements.caution(each) for each in (spared, spec(OWN), spec(ONE))] == [None, None, None]
    assert judgements.lines(spec(OWN)) == judgements.lines(spec(ONE)) == []
    assert judgements.all_chosen_on_test([chosen, spared]) == "chosen on the test set, so the best is too good: quick"
    assert judgements.all_chosen_on_test([spared]) is None
    assert judgements.all_chosen_on_test([chosen] * 9) == "chosen on the test set, so the best is too good: 9 of them"


def test_what_was_held_out_is_said() -> None:
    """Where the test set was spared."""
    (found,) = judgements.lines(spec(quick_text().replace('"test"', '"validation"')))
    assert found.startswith("chosen on images held out of the training set, a sixth of it: `search confirm quick`")


def test_the_mean_of_the_last_epochs_is_said() -> None:
    """Beside the rest; the last epoch alone is what everybody expects."""
    mean = spec(quick_text(value="mean-of-last-3"))
    assert judgements.lines(mean)[1] == "a trial's value is the mean accuracy of its last three epochs"
    assert mean.training is not None
    assert judgements.measured(mean.training) == "the mean accuracy of its last three epochs, on the test set"


def test_a_model_carries_how_it_was_chosen() -> None:
    """By the search on the very images, or among confirmed ones on them; otherwise its figure is an honest one."""
    chosen, spared = spec(quick_text()), spec(quick_text().replace('"test"', '"validation"'))
    assert judgements.caution_of_model(chosen, 1) == (
        "chosen on the test set, by these very images: this figure may be optimistic"
    )
    assert judgements.caution_of_model(chosen, 3) == judgements.caution_of_model(chosen, 1)
    assert judgements.caution_of_model(spared, 1) is None
    assert str(judgements.caution_of_model(spared, 3)).startswith("the best of 3 means on these very images")
