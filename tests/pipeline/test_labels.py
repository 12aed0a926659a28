"""The annotation sets of UCF101, HMDB51 and Kinetics, in their published formats."""

from __future__ import annotations

import re

import pytest

from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.videos import find_videos, parse_splits


@pytest.fixture
def tree(tmp_path):
    """Make files below ``tmp_path`` from paths and texts; returns ``tmp_path``."""

    def make(files):
        for name, text in files.items() if isinstance(files, dict) else dict.fromkeys(files, "").items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        return tmp_path

    return make


def summary(found):
    return [(video.id, video.label, video.split) for video in found.videos]


def refusal(source, labels) -> str:
    with pytest.raises(UsageError) as caught:
        find_videos(source, labels)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ----------------------------------------------------------------------------------------------------------- UCF101

UCF_VIDEOS = (
    "v/HandstandPushups/v_HandStandPushups_g01_c01.avi",  # the set itself spells folder and file differently
    "v/Archery/v_Archery_g01_c01.avi",
    "v/Archery/v_Archery_g08_c01.avi",
    "v/Archery/unlisted.avi",
)
UCF_LISTS = {  # CRLF and a blank last line, as published
    "l/classInd.txt": "2 HandstandPushups\r\n10 Archery\r\n\r\n",
    "l/trainlist01.txt": "Archery/v_Archery_g08_c01.avi 10\r\n",
    "l/testlist01.txt": "Archery/v_Archery_g01_c01.avi\r\nHandstandPushups/v_HandStandPushups_g01_c01.avi\r\n",
    "l/trainlist02.txt": "Archery/v_Archery_g01_c01.avi 10\r\nHandstandPushups/v_HandStandPushups_g01_c01.avi 2\r\n",
    "l/testlist02.txt": "Archery/v_Archery_g08_c01.avi\r\n",
}


def test_ucf101_gives_splits_and_its_order_of_classes(tree):
    root = tree(UCF_VIDEOS)
    tree(UCF_LISTS)
    found = find_videos(root / "v", f"ucf101:{root}/l")
    assert summary(found) == [
        ("Archery/v_Archery_g01_c01.avi", "Archery", "1:test;2:train"),
        ("Archery/v_Archery_g08_c01.avi", "Archery", "1:train;2:test"),
        ("HandstandPushups/v_HandStandPushups_g01_c01.avi", "HandstandPushups", "1:test;2:train"),
    ]
    assert found.classes == ("HandstandPushups", "Archery")
    assert parse_splits(found.videos[0].split) == {"1": "test", "2": "train"}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "trainlist01.txt",
            "Archery/a.avi 11",
            r"trainlist01.txt:1 has the index '11', but Archery has 10 in classInd.txt",
        ),
        (
            "trainlist01.txt",
            "\nBowling/a.avi 10",
            r"trainlist01.txt:2 has the class 'Bowling', which is not in classInd",
        ),
        ("trainlist01.txt", "Archery/a.avi", r"trainlist01.txt:1 is 'Archery/a.avi'; .* the class's index"),
        ("testlist02.txt", "a.avi", r"testlist02.txt:1 is 'a.avi'"),
        ("testlist02.txt", "Archery/a.avi 10 x", r"testlist02.txt:1 is"),
        ("classInd.txt", "one Archery", r"classInd.txt:1 is 'one Archery'; a line is an index and a class"),
        ("classInd.txt", "1 Archery\n1 Bowling", r"classInd.txt:2 repeats"),
        ("classInd.txt", "1 Archery\n2 Archery", r"classInd.txt:2 repeats"),
        ("classInd.txt", None, r"lacks classInd.txt"),
        ("testlist02.txt", None, r"lacks testlist02.txt"),
    ],
)
def test_a_malformed_ucf101_is_refused(tree, name, text, problem):
    root = tree(UCF_VIDEOS)
    tree({**UCF_LISTS, **({f"l/{name}": text} if text else {})})
    if text is None:
        (root / "l" / name).unlink()
    assert re.search(problem, refusal(root / "v", f"ucf101:{root}/l"))


def test_a_folder_of_something_else_is_no_ucf101(tree):
    root = tree(UCF_VIDEOS)
    assert "is not the annotation folder of UCF101: it lacks trainlist01.txt" in refusal(root / "v", f"ucf101:{root}/v")


def test_ucf101_with_empty_lists_is_refused(tree):
    root = tree(UCF_VIDEOS)
    tree({name: text if "class" in name else "" for name, text in UCF_LISTS.items()})
    assert "lists in" in refusal(root / "v", f"ucf101:{root}/l")


def test_missing_and_contradicting_videos_of_ucf101_are_reported_together(tree):
    root = tree(UCF_VIDEOS[1:3])
    tree({**UCF_LISTS, "l/testlist02.txt": "Archery/v_Archery_g01_c01.avi\nArchery/v_Archery_g08_c01.avi\n"})
    message = refusal(root / "v", f"ucf101:{root}/l")
    assert "1 is missing ('HandstandPushups/v_HandStandPushups_g01_c01.avi')" in message
    assert "1 has two parts in one split" in message
    assert "testlist02.txt:1 and trainlist02.txt:1" in message


def test_a_list_cannot_lead_out_of_the_source(tree):
    root = tree(UCF_VIDEOS)
    tree({**UCF_LISTS, "l/testlist02.txt": "Archery/../../../x.avi"})
    assert "1 lies outside the source" in refusal(root / "v", f"ucf101:{root}/l")


# ----------------------------------------------------------------------------------------------------------- HMDB51

HMDB_NAMES = ("#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi", "(Rad)Schlag_die_Bank!_clap_f_cm_np1_le_med_0.avi", "x_0.avi")
HMDB_VIDEOS = (*(f"v/clap/{name}" for name in HMDB_NAMES), "v/brush_hair/x_0.avi")
HMDB_LISTS = {  # a space ends each line, as published
    "l/clap_test_split1.txt": f"{HMDB_NAMES[0]} 1 \n{HMDB_NAMES[1]} 2 \n{HMDB_NAMES[2]} 0 \n",
    "l/clap_test_split2.txt": f"{HMDB_NAMES[0]} 2 \n{HMDB_NAMES[1]} 0 \n{HMDB_NAMES[2]} 0 \n",
    "l/brush_hair_test_split1.txt": "x_0.avi 1 \n",
    "l/brush_hair_test_split2.txt": "x_0.avi 1 \n",
}


def test_hmdb51_gives_splits_and_keeps_unused_videos(tree):
    root = tree(HMDB_VIDEOS)
    tree(HMDB_LISTS)
    found = find_videos(root / "v", f"hmdb51:{root}/l")
    assert summary(found) == [
        ("brush_hair/x_0.avi", "brush_hair", "1:train;2:train"),
        (f"clap/{HMDB_NAMES[0]}", "clap", "1:train;2:test"),
        (f"clap/{HMDB_NAMES[1]}", "clap", "1:test"),
        (f"clap/{HMDB_NAMES[2]}", "clap", ""),
    ]
    assert found.classes == ("brush_hair", "clap")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "clap_test_split1.txt",
            "x_0.avi 3",
            r"clap_test_split1.txt:1 is 'x_0.avi 3'; a line is a video and 0 \(unused\)",
        ),
        ("clap_test_split1.txt", "\nx_0.avi", r"clap_test_split1.txt:2 is"),
        ("clap_test_split1.txt", "x_0.avi 1\nx_0.avi 1", r"1 is listed twice \('clap/x_0.avi at .*:1 and .*:2'\)"),
        ("clap_test_split1.txt", "x_0.avi 1\nx_0.avi 2", r"1 has two parts in one split"),
        ("clap_test_split1.txt", "gone.avi 1", r"1 is missing \('clap/gone.avi'\)"),
        ("clap_test_split2.txt", None, r"lacks 'clap_test_split2.txt'"),
    ],
)
def test_a_malformed_hmdb51_is_refused(tree, name, text, problem):
    root = tree(HMDB_VIDEOS)
    tree({**HMDB_LISTS, **({f"l/{name}": text} if text else {})})
    if text is None:
        (root / "l" / name).unlink()
    assert re.search(problem, refusal(root / "v", f"hmdb51:{root}/l"))


def test_a_folder_of_something_else_is_no_hmdb51(tree):
    root = tree(HMDB_VIDEOS)
    assert "is not the annotation folder of HMDB51" in refusal(root / "v", f"hmdb51:{root}/v")
    tree({"e/clap_test_split1.txt": ""})
    assert "are empty" in refusal(root / "v", f"hmdb51:{root}/e")


# --------------------------------------------------------------------------------------------------------- Kinetics

KINETICS = """label,youtube_id,time_start,time_end,split,is_cc
"air drumming",_dbcJuKJQNs,40,50,val,0
abseiling,-3B32lodo2M,59,69,val,0
testifying,---QUuC4vJs,84,94,validate,0
"using remote controller (not gaming)",abcdefghijk,0,10,train,1
zumba,goneAAAAAAA,0,10,train,0
"""


def test_kinetics_finds_files_by_name_in_any_layout(tree):
    root = tree(
        [
            "v/_dbcJuKJQNs_000040_000050.mp4",
            "v/abseiling/-3B32lodo2M_000059_000069.webm",
            "v/val/---QUuC4vJs.MKV",
            "v/train/using_remote_controller_(not_gaming)/abcdefghijk_000000_000010.mp4",
            "v/other/unlisted_000000_000010.mp4",
        ]
    )
    tree({"k.csv": KINETICS})
    found = find_videos(root / "v", f"kinetics:{root}/k.csv")
    assert summary(found) == [
        ("_dbcJuKJQNs_000040_000050.mp4", "air drumming", "val"),
        ("abseiling/-3B32lodo2M_000059_000069.webm", "abseiling", "val"),
        (
            "train/using_remote_controller_(not_gaming)/abcdefghijk_000000_000010.mp4",
            "using remote controller (not gaming)",
            "train",
        ),
        ("val/---QUuC4vJs.MKV", "testifying", "val"),
    ]
    # zumba keeps its place although its only video is gone
    assert found.classes == ("abseiling", "air drumming", "testifying", "using remote controller (not gaming)", "zumba")
    assert found.warnings == ("1 of 5 clips has no file ('goneAAAAAAA_000000_000010')",)


def test_a_kinetics_list_is_known_by_its_header(tree):
    root = tree(["v/_dbcJuKJQNs.mp4"])
    tree({"k.csv": KINETICS, "v/k.csv": '"label", "youtube_id",time_start,time_end\r\nx,_dbcJuKJQNs,40,50\r\n'})
    assert summary(find_videos(root / "v", f"{root}/k.csv")) == [("_dbcJuKJQNs.mp4", "air drumming", "val")]
    assert summary(find_videos(root / "v/k.csv")) == [("_dbcJuKJQNs.mp4", "x", "")]


def test_a_test_list_has_no_labels(tree):
    root = tree(["v/a.mp4"])
    tree({"k.csv": "youtube_id,time_start,time_end,split\na,0,10,test\n"})
    found = find_videos(root / "v", f"kinetics:{root}/k.csv")
    assert (summary(found), found.classes) == ([("a.mp4", "", "test")], ())


def test_the_file_of_the_clip_goes_before_that_of_the_whole_video(tree):
    root = tree(["v/a.mp4", "v/x/a_000005_000015.mp4"])
    tree({"k.csv": "label,youtube_id,time_start,time_end,split\nrun,a,5.0,15.0,train\n"})
    found = find_videos(root / "v", f"kinetics:{root}/k.csv")
    assert summary(found) == [("x/a_000005_000015.mp4", "run", "train")]


def test_of_several_files_the_one_of_the_right_class_and_split_is_taken(tree):
    root = tree(["v/train/do_it/a.mp4", "v/val/do_it/a.mp4", "v/val/a.mp4", "v/a.mp4", "v/2/b.mp4", "v/1/b.mp4"])
    tree({"k.csv": "label,youtube_id,time_start,time_end,split\ndo it,a,0,10,validate\nrun,b,0,10,train\n"})
    found = find_videos(root / "v", f"kinetics:{root}/k.csv")
    assert [video.id for video in found.videos] == ["1/b.mp4", "val/do_it/a.mp4"]
    assert found.warnings == ("2 clips have several files, of which one each was taken ('val/do_it/a.mp4', '1/b.mp4')",)


def test_kinetics_without_any_file_is_an_error(tree):
    root = tree(["v/other.mp4"])
    tree({"k.csv": KINETICS})
    message = refusal(root / "v", f"kinetics:{root}/k.csv")
    assert "none of the 5 clips" in message
    assert "'_dbcJuKJQNs_000040_000050.mp4' or '_dbcJuKJQNs.mp4'" in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "label,youtube_id,time_start\nx,a,1\n",
            r"has no column time_end; the header of a Kinetics list is label,youtube_id",
        ),
        ("label,youtube_id,time_start,time_end,split\n", r"has a header and no row"),
        ("youtube_id,time_start,time_end\na,0,10\na,0\n", r"k.csv:3 has 2 columns and the header 3"),
        ("youtube_id,time_start,time_end\na,0,ten\n", r"k.csv:2 is 'a,0,ten'; .* whole seconds"),
        ("youtube_id,time_start,time_end\na,0.5,10\n", r"k.csv:2 is 'a,0.5,10'"),
        ("youtube_id,time_start,time_end\na,-1,10\n", r"k.csv:2 is 'a,-1,10'"),
        ("youtube_id,time_start,time_end\n,0,10\n", r"k.csv:2 is ',0,10'; a clip has a youtube_id"),
        ("youtube_id,time_start,time_end,split\na,0,10,a;b\n", r"k.csv:2: 'a;b' is no split"),
        ("youtube_id,time_start,time_end\na,0,10\na,0,10\n", r"1 is listed twice \('a.mp4 at k.csv:2 and k.csv:3'\)"),
        ("label,youtube_id,time_start,time_end\nx,a,0,10\ny,a,0,10\n", r"1 has two labels"),
        ("", r"is empty"),
    ],
)
def test_a_malformed_kinetics_list_is_refused(tree, text, problem):
    root = tree(["v/a.mp4"])
    tree({"k.csv": text})
    assert re.search(problem, refusal(root / "v", f"kinetics:{root}/k.csv"))
