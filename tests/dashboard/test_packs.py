"""Compressed pieces that are put together."""

import gzip
import random

from search.dashboard import packs


def test_pieces_are_one_file() -> None:
    """Whatever they hold, in any number: its checksum and size are right, and no piece was unpacked for it."""
    chance = random.Random(1)
    for count in (0, 1, 2, 40):
        pieces = [chance.randbytes(chance.choice([0, 1, 999])) * chance.choice([1, 50]) for _ in range(count)]
        made = [packs.pack(piece) for piece in pieces]
        assert gzip.decompress(b"".join(packs.gzipped(made))) == b"".join(pieces)
        assert [each.unpacked() for each in made] == pieces


def test_trials_are_found_in_a_piece() -> None:
    """Each as it was put in."""
    texts = [b"{}", b'{"a":[1,2]}', "{é}".encode()]
    found = packs.of_trials(texts)
    assert (found.texts(), found.pack.unpacked()) == (texts, b",".join(texts))
