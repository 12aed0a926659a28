"""H.264 headers rewritten to say less than x264 writes."""

from __future__ import annotations

import re

_SEQUENCE_PARAMETERS = b"\x00\x00\x01\x67"
_CODE = "(?:1|01.|001..|0001...|00001....)"  # Exp-Golomb codes up to 30
_RESTRICTION = re.compile(f"11(11{_CODE}{{4}})$")  # the flag, then what it announces: ITU-T H.264, E.1.1


def without_declared_reordering(data: bytes) -> bytes:
    """Return an Annex B stream of x264 whose headers do not say how many pictures are reordered."""
    start = data.index(_SEQUENCE_PARAMETERS) + 3
    end = start + len(data[start : data.index(b"\x00\x00\x01", start)].rstrip(b"\x00"))
    written = data[start:end]
    bits = "".join(f"{byte:08b}" for byte in written.replace(b"\x00\x00\x03", b"\x00\x00"))
    bits = bits[: bits.rindex("1")]  # without the stop bit
    match = _RESTRICTION.search(bits)
    assert match, "x264 ended its parameters otherwise"
    bits = f"{bits[: match.start()]}01"
    bits += "0" * (-len(bits) % 8)
    shorter = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return data.replace(written, re.sub(rb"\x00\x00([\x00-\x03])", lambda byte: b"\x00\x00\x03" + byte[1], shorter))
