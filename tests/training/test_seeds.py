"""Training seeds: the study's own, and fresh ones."""

from search.training import seeds


def test_a_study_searches_with_its_own_seed() -> None:
    """Repeat 0 is it; others are drawn from it, the same ones always."""
    assert [seeds.of(7, 0), seeds.of(0, 0)] == [7, 0]
    assert len({seeds.of(7, repeat) for repeat in range(100)}) == 100
    assert seeds.of(7, 1) == seeds.of(7, 1) != seeds.of(8, 1)


def test_fresh_seeds_had_no_part() -> None:
    """Neither the study's own, nor one that any of its trials had, is among them."""
    assert seeds.fresh(7, (), 3) == [1, 2, 3]
    assert seeds.fresh(7, {0, 1, 4}, 2) == [5, 6]


def test_two_repeats_of_one_seed_are_one() -> None:
    """Seeds have 32 bits: a repeat that happens to have the seed of one that was used is left out."""
    assert seeds.of(7, 108_389) == seeds.of(7, 118_517)
    assert seeds.fresh(7, {0, 108_389, 118_516}, 2) == [118_518, 118_519]
    assert seeds.fresh(7, {0, 118_516}, 2) == [118_517, 118_518]
