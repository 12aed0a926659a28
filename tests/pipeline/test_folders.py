"""Walking trees and looking files up: links, hidden entries, unreadable folders."""

from __future__ import annotations

import os

import pytest

from vidprep.pipeline import folders
from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.folders import FileLookup, walk_videos


@pytest.fixture
def make(tmp_path):
    """Make empty files below ``tmp_path``."""

    def make_files(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make_files


def test_suffixes_are_known_in_any_case_and_others_skipped(tmp_path, make):
    make("a.mp4", "B.AVI", "c.WebM", "d.txt", "e", "mp4", "f.mp4.part", "x/g.m2ts")
    assert walk_videos(str(tmp_path)).names == ("B.AVI", "a.mp4", "c.WebM", "x/g.m2ts")


def test_hidden_files_and_folders_are_skipped(tmp_path, make):
    make(".a.mp4", ".git/b.mp4", "x/.c.mp4", "x/d.mp4")
    assert walk_videos(str(tmp_path)).names == ("x/d.mp4",)


def test_a_folder_named_like_a_video_is_a_folder(tmp_path, make):
    make("a.mp4/b.mp4")
    assert walk_videos(str(tmp_path)).names == ("a.mp4/b.mp4",)


def test_links_to_files_and_folders_are_followed(tmp_path, make):
    make("store/1.mp4", "store/sub/2.mp4", "videos/own.mp4")
    (tmp_path / "videos/class").symlink_to(tmp_path / "store")
    (tmp_path / "videos/again").symlink_to(tmp_path / "store")
    (tmp_path / "videos/file.mp4").symlink_to(tmp_path / "store/1.mp4")
    found = walk_videos(str(tmp_path / "videos"))
    assert found.names == ("again/1.mp4", "again/sub/2.mp4", "class/1.mp4", "class/sub/2.mp4", "file.mp4", "own.mp4")
    assert found.warnings == ()


def test_links_that_lead_back_end_and_are_told(tmp_path, make):
    make("v/a/1.mp4", "v/b/2.mp4")
    (tmp_path / "v/a/up").symlink_to(tmp_path / "v")
    (tmp_path / "v/b/here").symlink_to(".")
    found = walk_videos(str(tmp_path / "v"))
    assert found.names == ("a/1.mp4", "b/2.mp4")
    assert found.warnings == ("2 links lead back to folders that they lie in and are not followed ('a/up', 'b/here')",)


def test_folders_that_link_to_each_other_end(tmp_path, make):
    make("a/1.mp4", "b/2.mp4")
    (tmp_path / "a/to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b/to_a").symlink_to(tmp_path / "a")
    assert walk_videos(str(tmp_path)).names == ("a/1.mp4", "a/to_b/2.mp4", "b/2.mp4", "b/to_a/1.mp4")


def test_links_to_nothing_are_told(tmp_path, make):
    make("a.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "class").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.mp4").symlink_to("self.mp4")
    found = walk_videos(str(tmp_path))
    assert found.names == ("a.mp4",)
    assert found.warnings == ("3 links lead nowhere and are left out ('class', 'gone.mp4', 'self.mp4')",)


def test_pipes_are_no_videos(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    found = walk_videos(str(tmp_path))
    assert found.names == ()
    assert not found.empty


def test_an_unreadable_folder_is_an_error(tmp_path, make, monkeypatch):
    make("a/1.mp4", "b/2.mp4")
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(os.path.normpath(path)) == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(folders.os, "scandir", refuse)  # file modes do not stop a superuser
    with pytest.raises(UsageError, match=r"cannot read the folder '.*/b/' \(Permission denied\); make it readable"):
        walk_videos(str(tmp_path))


def test_lookup_lists_each_folder_once(tmp_path, make, monkeypatch):
    make(*(f"x/{i}.mp4" for i in range(20)))
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(folders.os, "scandir", lambda path: listed.append(path) or scandir(path))
    lookup = FileLookup()
    assert all(lookup.is_file(f"{tmp_path}/x/{i}.mp4") for i in range(20))
    assert not lookup.is_file(f"{tmp_path}/x/20.mp4")
    assert listed == [f"{tmp_path}/x"]


@pytest.mark.parametrize("name", ["x", "nothing/1.mp4", "x/1.mp4/2", "x/\0", "y" * 300 + "/1.mp4", ""])
def test_lookup_of_what_is_no_file(tmp_path, make, name):
    make("x/1.mp4")
    assert not FileLookup().is_file(os.path.join(tmp_path, name))


def test_lookup_in_a_folder_that_may_not_be_listed(tmp_path, make, monkeypatch):
    make("x/1.mp4")

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folders.os, "scandir", refuse)
    assert FileLookup().is_file(f"{tmp_path}/x/1.mp4")
    assert not FileLookup().is_file(f"{tmp_path}/x/2.mp4")
