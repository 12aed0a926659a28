"""Opening a file: the same stream for every decoder, whatever its metadata."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from media import write_clip
from pyav_frames import frames_of
from vidprep.pipeline.decode.demux import scan


def test_a_title_that_is_not_utf8_does_no_harm(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "plain.avi", codec="mpeg4")
    titled = tmp_path / "titled.avi"
    with av.open(str(path)) as source, av.open(str(titled), "w") as copy:
        copy.metadata["title"] = "Fussball XX"
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    data = titled.read_bytes()
    assert b"Fussball XX" in data
    titled.write_bytes(data.replace(b"Fussball XX", b"Fu\xdfball XX "))
    assert scan(titled).num_frames == scan(path).num_frames
    np.testing.assert_array_equal(frames_of(titled), frames_of(path))
