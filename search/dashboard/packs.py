"""Trials as compressed JSON, packs of which are put together to one gzip file without being unpacked.

A pack is a piece of a deflate stream that ends on a byte and refers to nothing before it; the checksum of several is
made of theirs.
"""

import array
import dataclasses
import struct
import zlib
from collections.abc import Iterable, Sequence

LEVEL = 1  # 50,000 trials take seconds with more, and are a tenth smaller
BEGIN = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # gzip's: deflate, no name, no time
END = b"\x03\x00"  # an empty last block
POLYNOMIAL = 0xEDB88320


@dataclasses.dataclass(frozen=True)
class Pack:
    """Some bytes, compressed.

    Attributes:
        checksum: CRC-32 of `size` bytes that it unpacks to.
        shift: by which a checksum before it is moved.
    """

    packed: bytes
    checksum: int
    size: int
    shift: int

    def unpacked(self) -> bytes:
        """The bytes."""
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(self.packed)


@dataclasses.dataclass(frozen=True)
class Trials:
    """JSON of consecutive trials, with commas between.

    Attributes:
        ends: of each trial in it, in bytes, without its comma.
    """

    pack: Pack
    ends: Sequence[int]

    def texts(self) -> list[bytes]:
        """Each trial."""
        whole, begins = self.pack.unpacked(), [0, *(end + 1 for end in self.ends[:-1])]
        return [whole[begin:end] for begin, end in zip(begins, self.ends, strict=True)]


def pack(data: bytes) -> Pack:
    """Compresses."""
    squeezer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = squeezer.compress(data) + squeezer.flush(zlib.Z_FULL_FLUSH)
    return Pack(packed, zlib.crc32(data), len(data), _shift(len(data)))


def of_trials(texts: Sequence[bytes]) -> Trials:
    """Packs trials, one at least."""
    ends, end = array.array("L"), -1
    for text in texts:
        end += 1 + len(text)
        ends.append(end)
    return Trials(pack(b",".join(texts)), ends)


def gzipped(packs: Iterable[Pack]) -> list[bytes]:
    """Pieces of one gzip file."""
    pieces, checksum, size = [BEGIN], 0, 0
    for each in packs:
        pieces.append(each.packed)
        checksum = _times(each.shift, checksum) ^ each.checksum
        size += each.size
    return [*pieces, END, struct.pack("<II", checksum, size & 0xFFFFFFFF)]


def _times(one: int, other: int) -> int:
    """A product of two polynomials over the field of two elements, modulo CRC-32's; its highest bit is x to the 0."""
    product, bit = 0, 1 << 31
    while bit:
        if one & bit:
            product ^= other
        bit >>= 1
        other = (other >> 1) ^ POLYNOMIAL if other & 1 else other >> 1
    return product


def _shift(size: int) -> int:
    """The polynomial x to the power of as many bits as so many bytes have."""
    shift, power = 1 << 31, 1 << 23  # 1, and x to the 8
    while size:
        if size & 1:
            shift = _times(shift, power)
        power, size = _times(power, power), size >> 1
    return shift


COMMA = pack(b",")
