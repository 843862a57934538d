from search.simulations import clocks


def test_workers_take_turns_by_simulated_time():
    """Each acts when what it does has taken its seconds; of two at one moment the first worker comes first."""
    clock, seen = clocks.Clock(), []

    def life(name, *seconds):
        for each in seconds:
            yield each
            seen.append((name, clock.now, clock.spent))

    clock.run([life("a", 2.0, 2.0), life("b", 1.0, 1.0)])
    assert seen == [("b", 1.0, 1.0), ("a", 2.0, 3.0), ("b", 2.0, 4.0), ("a", 4.0, 6.0)]
    assert (clock(), clock.spent) == (4.0, 6.0)


def test_who_waits_looks_again_when_another_has_done_something():
    """Waiting takes no CPU time, and ends with the event that it waits for."""
    clock, seen, left = clocks.Clock(), [], [1]

    def working():
        yield 1.0
        yield 2.0
        left.clear()

    def waiting():
        while left:
            seen.append(clock.now)
            yield None
        seen.append(("end", clock.now))

    clock.run([waiting(), working()])
    assert seen == [0.0, 0.0, 1.0, ("end", 3.0)]
    assert clock.spent == 3.0
