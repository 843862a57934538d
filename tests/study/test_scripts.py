"""What a script says of its study."""

import pytest

from search.study import scripts


@pytest.mark.parametrize(
    ("source", "hints"),
    [
        ("optuna.create_study(direction='maximize').optimize(f, n_trials=100)", ("maximize", 100)),
        ("study = create_study()\nstudy.optimize(f, 7)", ("minimize", 7)),
        ("optuna.create_study(direction=optuna.study.StudyDirection.MAXIMIZE)", ("maximize", None)),
        ("create_study(directions=['maximize', 'minimize'])", (None, None)),
        ("create_study(direction='minimize'); create_study(direction='maximize')", (None, None)),
        ("create_study(direction=WHICH).optimize(f, n_trials=COUNT)", (None, None)),
        ("create_study(**how).optimize(f, n_trials=True)", (None, None)),
        ("def f(:", (None, None)),
        ("", (None, None)),
    ],
)
def test_it_is_taken_at_its_word(source: str, hints: tuple[str | None, int | None]) -> None:
    """Direction and trials, as Optuna would take them; what is not said plainly is not guessed."""
    found = scripts.read(source)
    assert (found.direction, found.trials) == hints
