"""HDF5 files with the same bytes on every run, through a file object that a full disk cannot confuse HDF5 with."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Mapping, Sequence

import hdf5plugin  # noqa: F401  (its import makes the filters known to HDF5)
import numpy as np
from h5py import h5a, h5d, h5f, h5fd, h5g, h5o, h5p, h5s, h5t

from .atomic import write_all
from .codecs import Buffer, Filters


class FileObject:
    """What HDF5 reads from and writes to: a file descriptor.

    HDF5 cannot be closed, and may crash at exit, after a write of its own has failed. So a failed write is kept in
    ``error`` and HDF5 is told that all went well; whoever uses the file looks at ``error`` and throws the file away.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._position = 0
        self._end = os.fstat(fd).st_size
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        data = os.pread(self._fd, size if size >= 0 else self._end - self._position, self._position)
        self._position += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:
        size = os.preadv(self._fd, [buffer], self._position)
        self._position += size
        return size

    def write(self, data: memoryview) -> int:
        size = memoryview(data).nbytes
        self._attempt(lambda: write_all(self._fd, data, self._position))
        self._position += size
        self._end = max(self._end, self._position)
        return size

    def truncate(self, size: int | None = None) -> int:
        end = self._position if size is None else size
        if end != self._end:  # HDF5 asks at every close; the kernel would wait until the disk has the last page
            self._attempt(lambda: os.ftruncate(self._fd, end))
            self._end = end
        return end

    def flush(self) -> None:
        """Nothing is buffered here."""

    def _attempt(self, operation: Callable[[], None]) -> None:
        if self.error is not None:
            return
        try:
            operation()
        except OSError as error:
            self.error = error


class Hdf5File:
    """The few HDF5 operations a shard needs, all without time stamps.

    Parameters
    ----------
    fd
        An open file, read-write for a new one. It stays open when this is closed.
    create
        Start an empty HDF5 file instead of opening the one that is there.
    """

    def __init__(self, fd: int, *, create: bool) -> None:
        self._file = FileObject(fd)
        access = h5p.create(h5p.FILE_ACCESS)
        access.set_fileobj_driver(h5fd.fileobj_driver, self._file)
        # One fixed version of the format: HDF5 1.10 and everything after it reads it, and its metadata has checksums.
        access.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
        access.set_fclose_degree(h5f.CLOSE_STRONG)
        if create:
            creation = h5p.create(h5p.FILE_CREATE)
            creation.set_obj_track_times(False)
            self._id = h5f.create(b"shard", h5f.ACC_TRUNC, fcpl=creation, fapl=access)
        else:
            self._id = h5f.open(b"shard", h5f.ACC_RDONLY, fapl=access)

    @property
    def error(self) -> OSError | None:
        """The first write that failed."""
        return self._file.error

    def close(self) -> None:
        self._id.close()

    def set_attributes(self, path: str, attributes: Mapping[str, str | int | float]) -> None:
        """Attributes of the object at ``path`` (``/`` for the root), as strings of fixed length, int64 or float64."""
        target = h5o.open(self._id, path.encode())
        for name, value in attributes.items():
            if isinstance(value, str):
                raw = value.encode()
                kind = h5t.C_S1.copy()
                kind.set_size(max(len(raw), 1))
                kind.set_strpad(h5t.STR_NULLPAD)
                kind.set_cset(h5t.CSET_UTF8)
                data = np.array(raw, dtype=f"S{max(len(raw), 1)}")
            else:
                kind = h5t.IEEE_F64LE if isinstance(value, float) else h5t.STD_I64LE
                data = np.array(value, dtype="<f8" if isinstance(value, float) else "<i8")
            attribute = h5a.create(target, name.encode(), kind, h5s.create(h5s.SCALAR))
            attribute.write(data, mtype=kind)

    def create_groups(self, path: str) -> None:
        """Make the group at ``path`` and those above it that do not exist yet."""
        creation = h5p.create(h5p.GROUP_CREATE)
        creation.set_obj_track_times(False)
        link = h5p.create(h5p.LINK_CREATE)
        link.set_char_encoding(h5t.CSET_UTF8)
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            name = "/".join(parts[:count]).encode()
            if not self._id.links.exists(name):
                h5g.create(self._id, name, lcpl=link, gcpl=creation)

    def create_dataset(
        self,
        path: str,
        shape: tuple[int, ...],
        dtype: np.dtype[np.generic],
        chunk_frames: int,
        filters: Filters,
    ) -> Hdf5Dataset:
        """A chunked dataset, still without chunks, in a group that exists."""
        creation = creation_properties((chunk_frames, *shape[1:]), filters)
        link = h5p.create(h5p.LINK_CREATE)
        link.set_char_encoding(h5t.CSET_UTF8)
        # HDF5 allows chunks longer than the dataset only along an axis that could grow.
        space = h5s.create_simple(shape, (h5s.UNLIMITED, *shape[1:]))
        return Hdf5Dataset(h5d.create(self._id, path.encode(), h5t.py_create(dtype), space, dcpl=creation, lcpl=link))

    def open_dataset(self, path: str) -> Hdf5Dataset:
        """The dataset at ``path``; KeyError if there is none."""
        return Hdf5Dataset(h5d.open(self._id, path.encode()))


class Hdf5Dataset:
    """An HDF5 dataset chunked along its first axis."""

    def __init__(self, dataset_id: h5d.DatasetID) -> None:
        self._id = dataset_id
        self.shape: tuple[int, ...] = tuple(dataset_id.shape)
        self._origin = (0,) * (len(self.shape) - 1)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        dtype: np.dtype[np.generic] = np.dtype(self._id.dtype)
        return dtype

    def write_chunk(self, first_frame: int, data: Buffer) -> None:
        """Store an encoded chunk as it is."""
        self._id.write_direct_chunk((first_frame, *self._origin), data)

    def chunk_table(self, chunk_frames: int) -> tuple[Sequence[int], Sequence[int]]:
        """Byte offsets in the file and sizes of the chunks, in frame order; size 0 for a chunk that does not exist."""
        count = -(-self.shape[0] // chunk_frames)
        offsets, sizes = array("Q", bytes(8 * count)), array("Q", bytes(8 * count))

        def note(chunk: h5d.StoreInfo) -> None:
            index = chunk.chunk_offset[0] // chunk_frames
            offsets[index], sizes[index] = chunk.byte_offset, chunk.size

        self._id.chunk_iter(note)
        return offsets, sizes


def creation_properties(chunk: tuple[int, ...], filters: Filters) -> h5p.PropDCID:
    """How a dataset with such chunks and filters is created."""
    creation = h5p.create(h5p.DATASET_CREATE)
    creation.set_obj_track_times(False)
    creation.set_fill_time(h5d.FILL_TIME_NEVER)
    creation.set_chunk(chunk)
    for number, options in filters:
        creation.set_filter(number, 0, options)
    return creation
