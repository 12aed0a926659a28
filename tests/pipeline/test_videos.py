"""Finding videos in folders, files and lists: ids, labels, order, and everything that is refused."""

from __future__ import annotations

import os
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.videos import Video, find_videos


@pytest.fixture
def make(tmp_path):
    """Make empty files below ``tmp_path``, or text files from keyword-like pairs."""

    def make_files(*names, **texts):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for name, text in texts.items():
            (tmp_path / name).write_text(text, encoding="utf-8")

    return make_files


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def summary(found):
    return [(video.id, video.label, video.split) for video in found.videos]


def refusal(source, labels=None) -> str:
    with pytest.raises(UsageError) as caught:
        find_videos(source, labels)
    message = str(caught.value)
    assert "\n" not in message
    message.encode()
    return message


# ---------------------------------------------------------------------------------------------------------- folders


def test_a_folder_gives_ids_labels_and_classes(tmp_path, make):
    make("run/b.mp4", "run/a.b.mp4", "run/a.mp4", "Swim/deep/er/c.avi", "loose.mkv")
    found = find_videos(tmp_path)
    assert summary(found) == [
        ("Swim/deep/er/c.avi", "Swim", ""),
        ("loose.mkv", "", ""),
        ("run/a.b.mp4", "run", ""),
        ("run/a.mp4", "run", ""),
        ("run/b.mp4", "run", ""),
    ]
    assert found.classes == ("Swim", "run")
    assert found.root == tmp_path
    assert all(video.path == tmp_path / video.id for video in found.videos)


def test_numbered_classes_are_in_the_order_of_numbers(tmp_path, make):
    make("10/a.mp4", "9/a.mp4", "0/a.mp4")
    assert find_videos(tmp_path).classes == ("0", "9", "10")


def test_paths_are_absolute_whatever_the_source(tmp_path, make, monkeypatch):
    make("v/run/a.mp4")
    monkeypatch.chdir(tmp_path)
    for source in ("v", "v/", "./v", Path("v"), "v/../v"):
        assert find_videos(source).videos[0].path == tmp_path / "v/run/a.mp4"


_NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/."), min_size=1, max_size=6
)


@given(
    names=st.lists(st.tuples(st.sampled_from(["", "x/", "x-/", "x/y/"]), _NAMES), unique=True, max_size=8),
    data=st.data(),
)
def test_order_does_not_depend_on_who_was_made_first(tmp_path_factory, names, data):
    names = [f"{folder}{name}.mp4" for folder, name in names] + ["x/always.mp4"]
    results = []
    for order in (names, data.draw(st.permutations(names))):
        root = tmp_path_factory.mktemp("order")
        for name in order:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        results.append([video.id for video in find_videos(root).videos])
    assert results[0] == results[1] == sorted(set(names))


def test_names_that_cannot_be_ids_are_named_together(tmp_path, make):
    make("good.mp4", "run/line\nbreak.mp4")
    (tmp_path / os.fsdecode(b"caf\xe9.mp4")).touch()
    message = refusal(tmp_path)
    assert "2 have names with control characters or bytes that are not UTF-8" in message
    assert r"'caf\udce9.mp4'" in message
    assert r"'run/line\nbreak.mp4'" in message


def test_an_empty_folder_is_refused(tmp_path):
    assert re.search(r"the folder '.*' is empty; put videos into it", refusal(tmp_path))


def test_a_folder_without_video_says_what_was_looked_for(tmp_path, make):
    make("a.txt", "b/c.jpg")
    message = refusal(tmp_path)
    assert "holds no video" in message
    assert ".avi" in message
    assert ".webm" in message


def test_warnings_of_the_walk_are_kept(tmp_path, make):
    make("a.mp4")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    assert find_videos(tmp_path).warnings == ("1 link leads nowhere and is left out ('gone.mp4')",)


# ------------------------------------------------------------------------------------------------------- one video


@pytest.mark.parametrize("name", ["a.mp4", "clip.unknown", "no_suffix", ".hidden.mp4", "a b.mp4"])
def test_a_single_file_is_one_video_named_by_itself(tmp_path, make, name):
    make(name)
    found = find_videos(tmp_path / name)
    assert found.videos == (Video(id=name, path=tmp_path / name),)
    assert (found.classes, found.root) == ((), tmp_path)


def test_a_single_file_whose_name_is_no_id_is_refused(tmp_path, make):
    make("a\n.mp4")
    assert r"1 has a name with control characters or bytes that are not UTF-8 ('a\n.mp4')" in refusal(
        tmp_path / "a\n.mp4"
    )


@pytest.mark.parametrize(
    ("source", "problem"),
    [("nowhere", "does not exist"), ("", "is no path"), ("a\0b", "is no path"), ("pipe", "neither")],
)
def test_a_source_that_is_nothing_is_refused(tmp_path, monkeypatch, source, problem):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    message = refusal(source)
    assert problem in message
    assert "name a folder, a video, or a list" in message


# ------------------------------------------------------------------------------------------------------ text lists


def test_a_text_list_decides_by_what_exists(tmp_path, make):
    make("run.mp4", "two words.mp4", "a b", "tab.mp4", "deep/x.mp4", "#1.mp4")
    lines = [
        "\ufeff# a comment",
        "",
        "run.mp4 running",
        "two words.mp4",
        "a b  two words",
        "tab.mp4\tmy label\tvalidate",
        f"{tmp_path}/deep/x.mp4   swim",
        "./#1.mp4",
    ]
    found = find_videos(write(tmp_path / "list.txt", "\r\n".join(lines)))
    assert summary(found) == [
        ("#1.mp4", "", ""),
        ("a b", "two words", ""),
        ("deep/x.mp4", "swim", ""),
        ("run.mp4", "running", ""),
        ("tab.mp4", "my label", "val"),
        ("two words.mp4", "", ""),
    ]
    assert found.classes == ("my label", "running", "swim", "two words")
    assert found.root == tmp_path


def test_a_path_that_is_a_file_with_its_last_word_has_no_label(tmp_path, make):
    make("a.mp4", "a.mp4 b")
    assert summary(find_videos(write(tmp_path / "list.txt", "a.mp4 b\n"))) == [("a.mp4 b", "", "")]


def test_missing_files_of_a_text_list_are_named_without_their_labels(tmp_path):
    message = refusal(write(tmp_path / "list.txt", "a.mp4 run fast\nb c.avi 12\nno suffix\nd.mp4\n"))
    assert "4 are missing ('a.mp4', 'b c.avi', 'no suffix' and 1 more); correct the list" in message


def test_ids_of_a_list_with_videos_elsewhere_start_at_their_common_folder(tmp_path, make):
    make("data/run/a.mp4", "data/swim/b.mp4", "lists/c.mp4")
    inside = find_videos(write(tmp_path / "lists/1.txt", "c.mp4\n"))
    assert (summary(inside), inside.root) == ([("c.mp4", "", "")], tmp_path / "lists")
    outside = find_videos(write(tmp_path / "lists/2.txt", "../data/run/a.mp4\n../data/swim/b.mp4\n"))
    assert (outside.root, outside.videos[0].id) == (tmp_path / "data", "run/a.mp4")
    both = find_videos(write(tmp_path / "lists/3.txt", "../data/run/a.mp4\nc.mp4\n"))
    assert [video.id for video in both.videos] == ["data/run/a.mp4", "lists/c.mp4"]
    one = find_videos(write(tmp_path / "lists/4.txt", f"{tmp_path}/data/run/a.mp4\n"))
    assert (one.root, one.videos[0].id) == (tmp_path / "data/run", "a.mp4")


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_list_is_refused(tmp_path, name, text):
    assert "is empty; it names one video a line" in refusal(write(tmp_path / name, text))


def test_a_list_of_comments_is_empty(tmp_path):
    assert "is empty" in refusal(write(tmp_path / "list.txt", "# a.mp4\n"))


@pytest.mark.parametrize("line", ["a.mp4\tb\ttrain\tmore", "\tlabel"])
def test_a_malformed_line_is_named_by_file_and_number(tmp_path, make, line):
    make("a.mp4")
    assert "list.txt:2 is not path<TAB>label<TAB>split" in refusal(write(tmp_path / "list.txt", f"a.mp4\n{line}\n"))


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_a_list_that_is_no_text_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"a.mp4\n\xff\xfe")
    assert "is not UTF-8 text (byte 6); save it as UTF-8" in refusal(tmp_path / name)


def test_a_list_with_a_zero_byte_is_refused(tmp_path):
    assert "is not text (it has a zero byte at 1)" in refusal(write(tmp_path / "list.txt", "a\0.mp4"))


def test_an_unreadable_list_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "list.txt", "a.mp4")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UsageError, match=r"cannot read the list '.*list.txt' \(Permission denied\)"):
        find_videos(path)


# ------------------------------------------------------------------------------------------------------ CSV lists


@pytest.mark.parametrize(
    "text",
    [
        'path,label,split\na.mp4,run,train\nb c.mp4,"swim, fast",\n',
        'a.mp4,run,train\nb c.mp4,"swim, fast"\n',
        '\ufeffSplit,Path,note,LABEL\r\ntrain,./a.mp4,x,run\r\n,b c.mp4,,"swim, fast"\r\n\r\n',
        'class,video,subset\nrun,a.mp4,training\n"swim, fast", b c.mp4,\n',
    ],
)
def test_a_csv_with_and_without_header(tmp_path, make, text):
    make("a.mp4", "b c.mp4")
    found = find_videos(write(tmp_path / "list.CSV", text))
    assert summary(found) == [("a.mp4", "run", "train"), ("b c.mp4", "swim, fast", "")]
    assert found.classes == ("run", "swim, fast")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a.mp4,run,train,more\n", r"list.csv:1 has 4 columns instead of path\[,label\[,split\]\]"),
        ("path,label\na.mp4,run\na.mp4\n", r"list.csv:3 has 1 columns instead of 2 as in the header"),
        ("path,label\n,run\n", r"list.csv:2 has no path"),
        ("a.mp4,run,1:train;x\n", r"list.csv:1: '1:train;x' is no split"),
        ('a.mp4,"run\n', r"list.csv:1 is no row of a CSV"),
        ('a.mp4,"run\nb.mp4"\n', r"list.csv:2 has the label 'run\\nb.mp4'"),
        ("path,label\n", r"has a header and no row"),
    ],
)
def test_a_malformed_csv_is_refused_with_its_line(tmp_path, make, text, problem):
    make("a.mp4")
    assert re.search(problem, refusal(write(tmp_path / "list.csv", text)))


# ----------------------------------------------------------------------------------------- what is wrong, together


def test_missing_and_duplicate_videos_are_reported_together(tmp_path, make):
    make("a.mp4", "b.mp4", "c.mp4")
    rows = [
        "a.mp4,run",
        "gone1.mp4,run",
        "./a.mp4,run",
        "b.mp4,run",
        "x/../b.mp4,swim",
        "gone2.mp4",
        "c.mp4,,train",
        "c.mp4,,test",
    ]
    message = refusal(write(tmp_path / "list.csv", "\n".join(rows)))
    assert "2 are missing ('gone1.mp4', 'gone2.mp4')" in message
    assert "1 is listed twice ('a.mp4 at list.csv:1 and list.csv:3')" in message
    assert "1 has two labels ('b.mp4 at list.csv:4 and list.csv:5: run, swim')" in message
    assert "1 has two parts in one split ('c.mp4 at list.csv:7 and list.csv:8')" in message
    assert message.endswith("; correct the list")


def test_rows_about_different_splits_are_joined(tmp_path, make):
    make("a.mp4")
    found = find_videos(write(tmp_path / "list.csv", "a.mp4,run,2:test\na.mp4,run,1:train\n"))
    assert summary(found) == [("a.mp4", "run", "1:train;2:test")]


def test_an_id_that_is_a_folder_of_another_is_refused(tmp_path):
    message = refusal(write(tmp_path / "list.csv", "a\na/b.mp4\n"))
    assert "1 is also a folder of another ('a')" in message


# --------------------------------------------------------------------------------------------- --labels in general


def test_a_csv_chooses_and_labels_videos_of_a_folder(tmp_path, make):
    make("v/x/a.mp4", "v/x/b.mp4", "v/c.mp4")
    labels = write(tmp_path / "labels.csv", f"path,label,split\nx/a.mp4,jump,train\n{tmp_path}/v/c.mp4,run,test\n")
    found = find_videos(tmp_path / "v", str(labels))
    assert summary(found) == [("c.mp4", "run", "test"), ("x/a.mp4", "jump", "train")]
    assert (found.classes, found.root) == (("jump", "run"), tmp_path / "v")


def test_listed_videos_outside_the_source_and_missing_ones_are_refused(tmp_path, make):
    make("v/a.mp4", "v2/b.mp4")
    labels = write(tmp_path / "labels.csv", "a.mp4,x\n../v2/b.mp4,x\n/etc/c.mp4,x\ngone.mp4,x\n")
    message = refusal(tmp_path / "v", str(labels))
    assert "2 lie outside the source ('../v2/b.mp4', '/etc/c.mp4') and 1 is missing ('gone.mp4')" in message


@pytest.mark.parametrize(
    "labels", ["imagenet:x", "kinetic:x.csv", "labels.txt", "ucf101:", "ucf101", "", ":x", "UCF101:x"]
)
def test_an_unknown_kind_of_labels_says_which_exist(tmp_path, make, labels):
    make("a.mp4")
    message = refusal(tmp_path, labels)
    assert f"--labels {labels!r} is of no known kind" in message
    assert "ucf101:DIR, hmdb51:DIR, kinetics:FILE.csv or a CSV path,label[,split]" in message


@pytest.mark.parametrize(
    "labels", ["ucf101:{}/none", "hmdb51:{}/none", "kinetics:{}/none.csv", "{}/none.csv", "ucf101:{}/a.mp4"]
)
def test_labels_that_cannot_be_read_are_refused(tmp_path, make, labels):
    make("a.mp4")
    assert re.search(r"cannot read the (list|folder) '.*' \(.*\); ", refusal(tmp_path, labels.format(tmp_path)))


def test_a_csv_may_have_a_colon_in_its_name(tmp_path, make):
    make("v/a.mp4")
    labels = write(tmp_path / "odd:name.csv", "a.mp4,run\n")
    assert summary(find_videos(tmp_path / "v", str(labels))) == [("a.mp4", "run", "")]


def test_labels_expand_the_home_folder(tmp_path, make, monkeypatch):
    make("v/a.mp4")
    write(tmp_path / "labels.csv", "a.mp4,run\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_videos(tmp_path / "v", "~/labels.csv").classes == ("run",)


def test_labels_need_a_folder(tmp_path, make):
    make("a.mp4")
    write(tmp_path / "list.txt", "a.mp4")
    for source in ("a.mp4", "list.txt"):
        assert "--labels needs a folder as the source" in refusal(tmp_path / source, "ucf101:x")


# ---------------------------------------------------------------------------------------------------- the records


def test_a_video_checks_its_id_and_split(tmp_path):
    with pytest.raises(UsageError):
        Video(id="../a.mp4", path=tmp_path)
    with pytest.raises(ValueError, match="split"):
        Video(id="a.mp4", path=tmp_path, split="1:train;x")


def test_records_are_frozen(tmp_path):
    with pytest.raises(FrozenInstanceError):
        Video(id="a.mp4", path=tmp_path).label = "run"
