"""A study published: counts, several places at once, and many trials."""

import pathlib

import publishing
import pytest
from optuna.trial import TrialState
from publishing import add

from search import api, errors
from search.ledger import portions
from search.storage import batches, databases


def test_every_place_is_brought_up_to_date(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Of either database; what has not begun is counted, and has nothing there."""
    publishing.create(opened)
    add(opened)
    add(opened, TrialState.WAITING, params={}, distributions={}, intermediate_values={})
    places = [f"tensorboard:{tmp_path}/a", f"tensorboard:{tmp_path}/b"]
    first = api.publish("own", places[0], storage=opened)
    assert [each.as_json() for each in first] == [
        {"study": "own", "to": places[0], "new": 1, "updated": 0, "unchanged": 0, "waiting": 1}
    ]
    add(opened, value=0.5)
    both = api.publish("own", places, storage=opened)
    assert [(each.new, each.unchanged, each.waiting) for each in both] == [(1, 1, 1), (2, 0, 1)]
    assert sorted(path.name for path in (tmp_path / "b" / "own").glob("trial-*")) == ["trial-0", "trial-2"]


def test_one_place_that_fails_keeps_no_other_from_it(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """It is told at the end."""
    publishing.create(opened)
    add(opened)
    (tmp_path / "file").write_text("")
    places = [f"tensorboard:{tmp_path}/file", f"tensorboard:{tmp_path}/b"]
    with pytest.raises(errors.PublishFailed, match="/file cannot be written"):
        api.publish("own", places, storage=opened)
    assert (tmp_path / "b" / "own" / "trial-0").is_dir()


def test_no_text_keeps_a_trial_from_being_published(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Half a character, or what ends a line, in what code of the user's has set."""
    publishing.create(opened)
    add(opened, user_attrs={"half | `": "a\n\udc80", "n": float("nan"), "search:reason": "b\udc80"})
    places = [f"tensorboard:{tmp_path}/a", f"wandb:{tmp_path}/b"]
    assert [each.new for each in api.publish("own", places, storage=opened)] == [1, 1]
    assert [each.unchanged for each in api.publish("own", places, storage=opened)] == [1, 1]


def test_many_trials_are_held_some_at_a_time(
    opened: databases.Database, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is told as it is done."""
    monkeypatch.setattr(batches, "BATCH_TRIALS", 3)
    largest, told = [], []
    read = portions.read

    def count(*given: object) -> portions.Portion:
        found = read(*given)  # type: ignore[arg-type]
        largest.append(len(found.trials))
        return found

    monkeypatch.setattr(portions, "read", count)
    publishing.create(opened)
    for _ in range(7):
        add(opened)
    api.publish("own", f"tensorboard:{tmp_path}/a", storage=opened, on_trial=lambda *done: told.append(done))
    assert (largest, told) == ([3, 3, 1], [(number, 7) for number in range(1, 8)])


def test_the_file_says_where(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Where nothing else is asked for; and nothing is refused where neither does."""
    publishing.create(opened, f'{publishing.TEXT}[publish]\nto = "tensorboard:{tmp_path}/a"\n')
    publishing.create(opened, publishing.TEXT.replace('"own"', '"other"'))
    add(opened)
    assert [each.new for each in api.publish("own", storage=opened)] == [1]
    with pytest.raises(errors.InputError, match="publish takes --to mlflow:URI, .* 'other' has no "):
        api.publish("other", storage=opened)
