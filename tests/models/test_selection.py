"""Which videos a dataset has: by split and labels, of the cache or given when it is opened."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from vidprep.models.selection import select_videos
from vidprep.pipeline.errors import UsageError

UCF = {f"Archery/v_Archery_g0{i}_c01.avi": 9 for i in range(1, 4)} | {
    f"Bowling/v_Bowling_g0{i}_c01.avi": 9 for i in range(1, 4)
}


def chosen(cache, modalities=("residual",), **options) -> dict[str, int]:
    """The selected videos' labels by id."""
    selection = select_videos(cache, modalities, **options)
    ids = list(cache.videos)
    return {ids[place]: label for place, label in zip(selection.positions, selection.labels.tolist(), strict=True)}


def refusal(cache, **options) -> str:
    with pytest.raises(UsageError) as caught:
        chosen(cache, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def write(tmp_path):
    """Write text files; returns their folder."""

    def make(files: dict[str, str]) -> Path:
        folder = tmp_path / "lists"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder

    return make


# ------------------------------------------------------------------------------------------------- the cache's own


def test_without_anything_all_videos_with_their_classes(make_clips) -> None:
    cache = make_clips({"B/1.avi": 9, "A/2.avi": 7, "3.avi": 5}, failures=["A/broken.avi"])
    assert chosen(cache) == {"B/1.avi": 1, "A/2.avi": 0, "3.avi": -1}
    selection = select_videos(cache, ["residual", "rgb"])
    assert selection.classes == {"A": 0, "B": 1}
    assert selection.num_frames.tolist() == [8, 6, 4]  # residuals are one less


def test_parts_of_the_only_split(make_clips) -> None:
    cache = make_clips(dict.fromkeys("abcd", 9), splits={"a": "train", "b": "val", "c": "train"})
    assert list(chosen(cache, split="train")) == ["a", "c"]
    assert list(chosen(cache, split="validation")) == ["b"]
    assert "is in the split 'test': there are 'train', 'val'" in refusal(cache, split="test")
    assert "there is no split '1' in the cache, which has one without a name" in refusal(cache, split="1:train")


def test_parts_of_one_of_several_splits(make_clips) -> None:
    cache = make_clips(dict.fromkeys("abc", 9), splits={"a": "1:train;2:test", "b": "1:test;2:train", "c": "2:train"})
    assert list(chosen(cache, split="1:train")) == ["a"]
    assert list(chosen(cache, split="2:train")) == ["b", "c"]
    assert "the cache has the splits 1, 2: write split='1:train'" in refusal(cache, split="train")
    assert "there is no split '3' in the cache, but 1, 2: write split='1:train'" in refusal(cache, split="3:train")


def test_no_split_is_known(make_clips) -> None:
    cache = make_clips({"a": 9})
    assert "the cache says nothing of splits: give labels that do" in refusal(cache, split="train")


def test_videos_without_a_modality_are_left_out_and_counted(make_clips, caplog) -> None:
    cache = make_clips({"a": 9, "b": 9, "c": 9}, lacking={"b": ["residual"], "c": ["residual"]})
    with caplog.at_level(logging.WARNING):
        assert list(chosen(cache)) == ["a"]
    assert "2 videos have no frame of residual ('b', 'c'); left out" in caplog.text
    assert list(chosen(cache, modalities=["rgb"])) == ["a", "b", "c"]


def test_an_unknown_modality_names_those_there_are(make_clips) -> None:
    assert "no modality 'flow': it holds residual, rgb" in refusal(make_clips({"a": 9}), modalities=["flow"])


def test_no_video_left_says_why(make_clips) -> None:
    cache = make_clips({"a": 9, "b": 9}, splits={"a": "train", "b": "test"}, lacking={"b": ["residual"]})
    assert "1 of the split 'test' with the labels of the cache (1 without residual)" in refusal(cache, split="test")


# ------------------------------------------------------------------------------------------------------ label maps


def test_a_label_map_gives_other_indices(make_clips, write) -> None:
    cache = make_clips({"A/1": 9, "B/2": 9, "C/3": 9, "4": 9})
    labels = {"A": 5, "B": 0, "C": 5, "D": 7}
    expected = {"A/1": 5, "B/2": 0, "C/3": 5, "4": -1}
    assert chosen(cache, labels=labels) == expected
    folder = write({"map.csv": "index,class\n" + "\n".join(f"{i},{name}" for name, i in labels.items())})
    assert chosen(cache, labels=folder / "map.csv") == expected
    assert select_videos(cache, ["rgb"], labels=labels).classes == labels


def test_classes_that_a_label_map_lacks_are_named(make_clips) -> None:
    cache = make_clips({f"{name}/1": 9 for name in "ABCDE"})
    message = refusal(cache, labels={"A": 0})
    assert "4 classes of this cache are ('B', 'C', 'D' and 1 more) not in the label map" in message


@pytest.mark.parametrize("labels", [{}, {"A": -1}, {"A": "0"}, {"A": True}, {1: 0}])
def test_a_label_map_of_something_else(make_clips, labels) -> None:
    assert "the label map" in refusal(make_clips({"A/1": 9}), labels=labels)


@pytest.mark.parametrize("line", ["A", "A,x", "A,1,2", ",1", "A,-1"])
def test_a_malformed_label_map(make_clips, write, line: str) -> None:
    folder = write({"map.csv": f"class,index\n{line}\n"})
    assert "map.csv:2 is" in refusal(make_clips({"A/1": 9}), labels=folder / "map.csv")


def test_labels_of_no_known_form(make_clips) -> None:
    assert "'labels.json' are of no known form" in refusal(make_clips({"A/1": 9}), labels="labels.json")


# ----------------------------------------------------------------------------------------------------- annotations


@pytest.fixture
def ucf(write) -> str:
    """Two classes in reverse order, one split: the first group tests. Lists name videos that no cache here has."""
    lists = {"trainlist01.txt": "", "testlist01.txt": ""}
    for label, index in (("Bowling", 1), ("Archery", 2)):
        for group in range(1, 6):
            name = f"{label}/v_{label}_g0{group}_c01.avi"
            lists["testlist01.txt" if group == 1 else "trainlist01.txt"] += (
                f"{name}\n" if group == 1 else f"{name} {index}\n"
            )
    return f"ucf101:{write({'classInd.txt': '1 Bowling' + chr(10) + '2 Archery' + chr(10), **lists})}"


def test_ucf101_lists(make_clips, ucf, caplog) -> None:
    cache = make_clips(UCF | {"Surfing/x.avi": 9}, failures=["Archery/v_Archery_g04_c01.avi"])
    with caplog.at_level(logging.WARNING):
        train = chosen(cache, labels=ucf, split="1:train")
    assert train == {id_: 1 if id_.startswith("A") else 0 for id_ in UCF if "g01" not in id_}
    assert list(chosen(cache, labels=ucf, split="1:test")) == [id_ for id_ in UCF if "g01" in id_]
    assert "1 video failed when the cache was made ('Archery/v_Archery_g04_c01.avi'); left out" in caplog.text
    assert "3 videos of 'ucf101:" in caplog.text
    assert list(chosen(cache, labels=ucf)) == list(UCF)


def test_lists_may_have_other_folders_than_ids(make_clips, ucf) -> None:
    flat = make_clips({id_.rpartition("/")[2]: 9 for id_ in UCF})
    assert list(chosen(flat, labels=ucf).values()) == [1, 1, 1, 0, 0, 0]
    deep = make_clips({f"data/{id_}": 9 for id_ in UCF})
    assert list(chosen(deep, labels=ucf).values()) == [1, 1, 1, 0, 0, 0]
    wrong = make_clips({f"other/{id_.rpartition('/')[2]}": 9 for id_ in UCF})
    assert "none of the 10 videos of 'ucf101:" in refusal(wrong, labels=ucf)


def test_hmdb51_splits(make_clips, write) -> None:
    folder = write({f"{label}_test_split{split}.txt": f"{label}1.avi {split % 3}\n{label}2.avi 2\n"
                    for label in ("run", "eat") for split in (1, 2)})  # fmt: skip
    cache = make_clips({"run/run1.avi": 9, "run/run2.avi": 9, "eat/eat1.avi": 9})
    assert chosen(cache, labels=f"hmdb51:{folder}", split="1:train") == {"run/run1.avi": 1, "eat/eat1.avi": 0}
    assert list(chosen(cache, labels=f"hmdb51:{folder}", split="2:test")) == list(cache.videos)


def test_kinetics_list(make_clips, write) -> None:
    folder = write({"k.csv": "label,youtube_id,time_start,time_end,split\njuggling,a1,0,10,train\nzumba,b2,5,15,val\n"
                    "abseiling,c3,0,10,train\n"})  # fmt: skip
    cache = make_clips({"x/a1_000000_000010.mp4": 9, "x/b2_000005_000015.mp4": 9})
    assert chosen(cache, labels=f"kinetics:{folder / 'k.csv'}") == dict(zip(cache.videos, (1, 2), strict=True))
    assert list(chosen(cache, labels=str(folder / "k.csv"), split="val")) == ["x/b2_000005_000015.mp4"]


def test_a_csv_of_paths(make_clips, write) -> None:
    folder = write({"l.csv": "path,label,split\n/videos/b,cat,train\na,dog,test\n./c,cat,train\n"})
    cache = make_clips(dict.fromkeys("abcd", 9))
    assert chosen(cache, labels=folder / "l.csv", split="train") == {"b": 0, "c": 0}
    assert chosen(cache, labels=folder / "l.csv") == {"a": 1, "b": 0, "c": 0}


def test_lists_of_parts_agree_on_indices(make_clips, write) -> None:
    """Though the list for testing names fewer classes."""
    folder = write({"train.csv": "A/1,A\nB/1,B\nC/1,C\n", "test.csv": "C/2,C\nA/1,C\n"})
    cache = make_clips(dict.fromkeys(("A/1", "B/1", "C/1", "C/2"), 9))
    assert chosen(cache, labels=folder / "train.csv") == {"A/1": 0, "B/1": 1, "C/1": 2}
    assert chosen(cache, labels=folder / "test.csv") == {"A/1": 2, "C/2": 2}


def test_a_csv_that_names_unknown_videos(make_clips, write) -> None:
    folder = write({"l.csv": "".join(f"{name},x\n" for name in "abcde")})
    message = refusal(make_clips({"a": 9}), labels=folder / "l.csv")
    assert "lists 4 videos ('b', 'c', 'd' and 1 more) that this cache does not have" in message


def test_a_csv_with_two_labels_for_one_video(make_clips, write) -> None:
    folder = write({"l.csv": "a,x\na,y\n"})
    assert "1 has two labels" in refusal(make_clips({"a": 9}), labels=folder / "l.csv")


# ----------------------------------------------------------------------------------------------------- lists of ids


def test_a_split_as_a_list(make_clips, write, caplog) -> None:
    cache = make_clips({"A/1.avi": 9, "A/2.avi": 9, "B/with space.avi": 9}, failures=["B/4.avi"])
    folder = write({
        "train.txt": "# a comment\nB/with space.avi 2\nA/1.avi 1\n\n",
        "train.csv": "path\nA/1.avi\nB/with space.avi\n",
    })  # fmt: skip
    wanted = {"A/1.avi": 0, "B/with space.avi": 1}
    assert chosen(cache, split=folder / "train.txt") == wanted
    assert chosen(cache, split=str(folder / "train.csv")) == wanted
    with caplog.at_level(logging.WARNING):
        assert chosen(cache, split=["B/with space.avi", "A/1.avi", "B/4.avi"]) == wanted
    assert "1 video failed when the cache was made ('B/4.avi')" in caplog.text


def test_a_split_that_lists_unknown_videos(make_clips, write) -> None:
    cache = make_clips({"A/1.avi": 9})
    assert "the list of ids lists 1 video ('A/2.avi') that this cache" in refusal(cache, split={"A/1.avi", "A/2.avi"})
    folder = write({"train.txt": "A/9.avi 3\n"})
    assert "train.txt' lists 1 video ('A/9.avi')" in refusal(cache, split=folder / "train.txt")
