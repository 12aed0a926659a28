"""Clips out of shards, in compiled code without the GIL: ``pread``, decompress, join what lies in the box.

Threads take pieces of clips from a counter that they share. Only the frames that are wanted are decompressed, each
once, and no frame leaves the processor's cache between its stages. Whatever the files and the index hold, nothing
outside the buffers is touched: each size that a file states is checked before it is used.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .bit_planes import join_planes
from .byte_access import big_endian_32, copy_bytes
from .codecs import CODECS
from .lz4_blocks import decode_lz4
from .native_calls import call_fadvise, call_getrusage, call_pread, call_xxh64, call_zstd, take_next
from .plane_chunks import BLOCK_HEADER_BYTES, HEADER_BYTES
from .plane_crop import MARGIN, TAIL_BYTES, join_box

# Columns of the table of clips: the place in the result, where the dataset is and its layout, the corner of the box.
# Those from CHUNK_FRAMES to CODEC are in the order of the index.
PLACE, FILE, FIRST_CHUNK, NUM_CHUNKS, CHUNK_FRAMES, FRAME_HEIGHT, FRAME_WIDTH, CODEC, TOP, LEFT = range(10)
NUM_COLUMNS = 10

LZ4, ZSTD, NONE = (CODECS.index(name) for name in ("lz4", "zstd", "none"))

# What is the same for all clips of a batch.
ITEM_BYTES, CHANNELS, HEIGHT, WIDTH, PIECE_FRAMES, VERIFY = range(6)

# C functions, by address.
PREAD, FADVISE, GETRUSAGE, ZSTD_DECOMPRESS, XXH64 = range(5)

# What a thread has of its own: Zstandard's context, and a `struct rusage`.
ZSTD_CONTEXT, USAGE = range(2)
OWN_SIZE = USAGE + 18

# What came of a piece.
GOOD, NO_SIZE, NO_BYTES, NO_MATCH, BAD_LZ4, BAD_ZSTD, BAD_STORED = range(7)

REASONS = {
    NO_SIZE: "the index has an impossible size for it",
    NO_BYTES: "its bytes are not there",
    NO_MATCH: "its checksum does not match",
    BAD_LZ4: "its LZ4 data is damaged",
    BAD_ZSTD: "its Zstandard data is damaged",
    BAD_STORED: "it is not of the size of its frames",
}

_WILLNEED = 3  # Linux: begin to read it into the page cache
_RUSAGE_THREAD = 1
_WAITS = 16  # place in a `struct rusage` of how often the thread gave up its processor
_RETRIES = 8  # in a row, of a read that a signal interrupts: seldom even one


@njit(nogil=True, cache=True)
def chunk_bound(chunk_bytes, chunk_frames):  # type: ignore[no-untyped-def]
    """Bytes that a compressed chunk may have, by any codec; what exceeds them is damage."""
    return chunk_bytes + chunk_bytes // 128 + BLOCK_HEADER_BYTES * chunk_frames + 1024


def scratch_bytes(chunk_bytes: int, chunk_frames: int) -> int:
    """Memory that a thread needs beside the result: a chunk compressed, in planes and in elements."""
    return int(chunk_bound.py_func(chunk_bytes, chunk_frames)) + 2 * chunk_bytes + 3 * MARGIN + TAIL_BYTES


@njit(nogil=True, cache=True)
def read_pieces(  # type: ignore[no-untyped-def]
    counter, clips, frames, order, offsets, sizes, checksums, batch, functions, own, scratch, out, results
):  # fmt: skip
    """Read pieces of clips until the counter says that none is left.

    When the disk first keeps a thread waiting, that one tells the system of all that is still to be read.

    Parameters
    ----------
    counter
        ``(2,)`` int64, zeros at first: the next piece, and whether the system was told. Pieces are of ``PIECE_FRAMES``
        frames, one clip's after the other's.
    clips
        ``(N, NUM_COLUMNS)`` int64.
    frames, order
        ``(N, L)`` int64: a clip's frames in ascending order, and the place of each in the result.
    offsets, sizes, checksums
        Of all chunks of the cache; ``checksums`` is empty unless ``batch[VERIFY]``.
    batch, functions, own
        int64 by the names above; ``own`` is this thread's.
    scratch
        uint8, as much as ``scratch_bytes`` says for the largest chunks.
    out
        uint8, the result, ``(N, L, h, w, C)`` of the stored type, flat.
    results
        ``(pieces, 2)`` int64, filled: what came of a piece, and its first damaged chunk.
    """
    length = frames.shape[1]
    per_clip = -(-length // batch[PIECE_FRAMES])
    clip_bytes = length * batch[HEIGHT] * batch[WIDTH] * batch[CHANNELS] * batch[ITEM_BYTES]
    told, waits = False, _waits(functions, own)
    while True:
        piece = take_next(counter.ctypes.data)
        if piece >= len(results):
            return
        if not told and functions[FADVISE] and _waits(functions, own) > waits:
            told = True
            if take_next(counter.ctypes.data + counter.itemsize) == 0:
                _announce(clips[piece // per_clip :], frames[piece // per_clip :], offsets, sizes, functions)
        clip = piece // per_clip
        begin = (piece % per_clip) * batch[PIECE_FRAMES]
        end = min(begin + batch[PIECE_FRAMES], length)
        description = clips[clip]
        target = out.ctypes.data + description[PLACE] * clip_bytes
        results[piece, 0] = GOOD
        while begin < end:
            chunk = frames[clip, begin] // description[CHUNK_FRAMES]
            first, begin = begin, begin + 1
            while begin < end and frames[clip, begin] // description[CHUNK_FRAMES] == chunk:
                begin += 1
            result = NO_SIZE
            if chunk < description[NUM_CHUNKS]:
                place = description[FIRST_CHUNK] + chunk
                result = _read_chunk(
                    description, frames[clip, first:begin] - chunk * description[CHUNK_FRAMES],
                    order[clip, first:begin], np.int64(offsets[place]), np.int64(sizes[place]),
                    checksums[place] if batch[VERIFY] else np.uint64(0), batch, functions, own, scratch, target,
                )  # fmt: skip
            if result != GOOD and results[piece, 0] == GOOD:
                results[piece, 0], results[piece, 1] = result, chunk


@njit(nogil=True, cache=True)
def _read_chunk(clip, numbers, places, offset, size, checksum, batch, functions, own, scratch, target):  # type: ignore[no-untyped-def]
    """Read frames ``numbers`` of one chunk, ascending, each to its place in the clip at ``target``."""
    item_bytes = batch[ITEM_BYTES]
    frame_bytes = clip[FRAME_HEIGHT] * clip[FRAME_WIDTH] * batch[CHANNELS] * item_bytes
    chunk_bytes = clip[CHUNK_FRAMES] * frame_bytes
    block_bytes = min(-(-frame_bytes // (8 * item_bytes)) * 8 * item_bytes, chunk_bytes)
    bound = chunk_bound(chunk_bytes, clip[CHUNK_FRAMES])
    if not 0 < size <= bound or offset < 0:
        return NO_SIZE
    data = scratch.ctypes.data
    planes = data + bound + MARGIN
    elements = planes + chunk_bytes + MARGIN
    tail = elements + chunk_bytes + MARGIN
    source = (functions[PREAD], clip[FILE], offset, size, data)
    framed = np.int64(frame_bytes % (8 * item_bytes) == 0)  # each frame is a block of whole planes
    layout = (framed, frame_bytes, block_bytes, chunk_bytes, planes, elements, tail)
    loaded = np.int64(0)
    if batch[VERIFY] or clip[CODEC] == ZSTD:
        loaded = _load(source, loaded, size)
        if loaded < size:
            return NO_BYTES
    if batch[VERIFY] and np.uint64(call_xxh64(functions[XXH64], data, size, 0)) != checksum:
        return NO_MATCH
    first = (clip[TOP] * clip[FRAME_WIDTH] + clip[LEFT]) * batch[CHANNELS]
    rows, row_items, pitch = batch[HEIGHT], batch[WIDTH] * batch[CHANNELS], clip[FRAME_WIDTH] * batch[CHANNELS]
    if row_items == pitch:  # rows without gaps between are one
        rows, row_items = np.int64(1), rows * row_items
    box = (item_bytes, first, row_items, rows, pitch)
    if clip[CODEC] == LZ4:
        return _read_lz4(source, loaded, layout, box, numbers, places, target)
    if clip[CODEC] == ZSTD:
        used = call_zstd(functions[ZSTD_DECOMPRESS], own[ZSTD_CONTEXT], planes, chunk_bytes, data, size)
        if used != chunk_bytes:
            return BAD_ZSTD
        _join_chunk(layout, box, numbers, places, target)
        return GOOD
    if size != chunk_bytes:
        return BAD_STORED
    return _read_stored(source, loaded, frame_bytes, box, numbers, places, target)


@njit(nogil=True, cache=True)
def _load(source, begin, end):  # type: ignore[no-untyped-def]
    """Bring bytes ``begin`` to ``end`` of a chunk to where they belong in memory; returns how far that succeeded."""
    pread, file, offset, _, data = source
    failures = 0
    while begin < end:
        count = call_pread(pread, file, data + begin, end - begin, offset + begin)
        if count == 0 or failures == _RETRIES:
            break
        if count < 0:
            failures += 1
        else:
            begin, failures = begin + count, 0
    return begin


@njit(nogil=True, cache=True)
def _waits(functions, own):  # type: ignore[no-untyped-def]
    """How often this thread has waited for something: here that can only be the disk."""
    call_getrusage(functions[GETRUSAGE], _RUSAGE_THREAD, own[USAGE:].ctypes.data)
    return own[USAGE + _WAITS]


@njit(nogil=True, cache=True)
def _announce(clips, frames, offsets, sizes, functions):  # type: ignore[no-untyped-def]
    """Have the system fetch all chunks of some clips, side by side, while threads wait for the first ones."""
    for clip in range(len(clips)):
        latest = np.int64(-1)
        for i in range(frames.shape[1]):
            chunk = frames[clip, i] // clips[clip, CHUNK_FRAMES]
            if chunk != latest and chunk < clips[clip, NUM_CHUNKS]:
                place = clips[clip, FIRST_CHUNK] + chunk
                offset, size = np.int64(offsets[place]), np.int64(sizes[place])
                call_fadvise(functions[FADVISE], clips[clip, FILE], offset, size, _WILLNEED)
            latest = chunk


@njit(nogil=True, cache=True)
def _read_lz4(source, loaded, layout, box, numbers, places, target):  # type: ignore[no-untyped-def]
    """Walk from block to block, from header to header where one is not wanted."""
    _, _, _, size, data = source
    framed, frame_bytes, block_bytes, chunk_bytes, planes, elements, tail = layout
    item_bytes, _, row_items, rows, _ = box
    box_bytes = rows * row_items * item_bytes
    num_blocks = -(-chunk_bytes // block_bytes)
    first = numbers[0] * frame_bytes // block_bytes
    last = ((numbers[-1] + 1) * frame_bytes - 1) // block_bytes
    position = np.int64(HEADER_BYTES)
    if size < position + BLOCK_HEADER_BYTES:
        return BAD_LZ4
    if loaded == 0:
        loaded = _load(source, loaded, position + BLOCK_HEADER_BYTES)
        if loaded < position + BLOCK_HEADER_BYTES:
            return NO_BYTES
    if big_endian_32(data) != 0 or big_endian_32(data + 4) != chunk_bytes or big_endian_32(data + 8) != block_bytes:
        return BAD_LZ4
    done = 0  # frames, if these are blocks
    for block in range(last + 1):
        block_size = min(block_bytes, chunk_bytes - block * block_bytes)
        body = position + BLOCK_HEADER_BYTES
        if body > size:
            return BAD_LZ4
        if loaded < body:
            loaded = _load(source, max(position, loaded), body)
            if loaded < body:
                return NO_BYTES
        used = big_endian_32(data + position)
        position = body + used
        if not 0 < used <= block_size or position > size or (block + 1 == num_blocks and position != size):
            return BAD_LZ4
        if block < first or (framed and numbers[done] != block):
            continue
        if loaded < position:
            # With the next header, a read less.
            stop = min(size, position + BLOCK_HEADER_BYTES) if block < last else position
            loaded = _load(source, max(body, loaded), stop)
            if loaded < stop:
                return NO_BYTES
        found = data + body
        place = target + places[done] * box_bytes if framed else elements + block * block_bytes
        if used != block_size:
            found = planes
            if not decode_lz4(data + body, used, planes, block_size, place):
                return BAD_LZ4
        if framed:
            done = _join_frame(found, frame_bytes, box, tail, numbers, places, done, target)
        else:
            join_planes(found, block_size, item_bytes, place)
    if not framed:
        _copy_boxes(elements, frame_bytes, box, numbers, places, target)
    return GOOD


@njit(nogil=True, cache=True)
def _join_chunk(layout, box, numbers, places, target):  # type: ignore[no-untyped-def]
    """Join the wanted frames of a chunk whose planes are all there."""
    framed, frame_bytes, block_bytes, chunk_bytes, planes, elements, tail = layout
    if framed:
        done = 0
        while done < len(numbers):
            found = planes + numbers[done] * frame_bytes
            done = _join_frame(found, frame_bytes, box, tail, numbers, places, done, target)
        return
    first = numbers[0] * frame_bytes // block_bytes
    last = ((numbers[-1] + 1) * frame_bytes - 1) // block_bytes
    for block in range(first, last + 1):
        start = block * block_bytes
        join_planes(planes + start, min(block_bytes, chunk_bytes - start), box[0], elements + start)
    _copy_boxes(elements, frame_bytes, box, numbers, places, target)


@njit(nogil=True, cache=True)
def _read_stored(source, loaded, frame_bytes, box, numbers, places, target):  # type: ignore[no-untyped-def]
    """Read frames that are not compressed: straight to their place where rows lie side by side."""
    pread, file, offset, size, data = source
    item_bytes, first, row_items, rows, pitch = box
    box_bytes = rows * row_items * item_bytes
    if loaded == 0 and rows > 1:
        begin = (numbers[0] * frame_bytes) + first * item_bytes
        end = (numbers[-1] * frame_bytes) + (first + (rows - 1) * pitch + row_items) * item_bytes
        loaded = _load(source, begin, end)
        if loaded < end:
            return NO_BYTES
    if loaded:
        _copy_boxes(data, frame_bytes, box, numbers, places, target)
        return GOOD
    done = 0
    while done < len(numbers):
        begin, count = numbers[done] * frame_bytes + first * item_bytes, 1
        place = target + places[done] * box_bytes
        while (
            box_bytes == frame_bytes
            and done + count < len(numbers)
            and numbers[done + count] == numbers[done] + count
            and places[done + count] == places[done] + count
        ):
            count += 1
        if _load((pread, file, offset + begin, size, place), 0, count * box_bytes) < count * box_bytes:
            return NO_BYTES
        done = _repeat(box_bytes, numbers, places, done + count - 1, target)
    return GOOD


@njit(nogil=True, cache=True)
def _join_frame(planes, frame_bytes, box, tail, numbers, places, done, target):  # type: ignore[no-untyped-def]
    """Join the box of frame ``numbers[done]``, wherever it is wanted; returns the number of the next frame."""
    item_bytes, first, row_items, rows, pitch = box
    box_bytes = rows * row_items * item_bytes
    stride = frame_bytes // item_bytes // 8
    join_box(planes, stride, item_bytes, first, row_items, rows, pitch, target + places[done] * box_bytes, tail)
    return _repeat(box_bytes, numbers, places, done, target)


@njit(nogil=True, cache=True)
def _copy_boxes(elements, frame_bytes, box, numbers, places, target):  # type: ignore[no-untyped-def]
    """Copy the boxes of frames out of a chunk."""
    item_bytes, first, row_items, rows, pitch = box
    box_bytes, row_bytes = rows * row_items * item_bytes, row_items * item_bytes
    for i in range(len(numbers)):
        corner = elements + numbers[i] * frame_bytes + first * item_bytes
        for row in range(rows):
            place = target + places[i] * box_bytes + row * row_bytes
            copy_bytes(place, corner + row * pitch * item_bytes, row_bytes)


@njit(nogil=True, cache=True)
def _repeat(box_bytes, numbers, places, done, target):  # type: ignore[no-untyped-def]
    """Copy frame ``numbers[done]`` to all its places; returns where the next frame stands in ``numbers``."""
    following = done + 1
    while following < len(numbers) and numbers[following] == numbers[done]:
        copy_bytes(target + places[following] * box_bytes, target + places[done] * box_bytes, box_bytes)
        following += 1
    return following
