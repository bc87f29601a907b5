"""Images as they come: what is decoded rightly, and what is wrong with files, folders and tables, all told together."""

import io
import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from launcher import DataError, ImageClassification, ImageFolders, Table
from launcher.training.data import content_digest, read_corpus, read_rows
from launcher.training.data.pictures import decoded

TASK = ImageClassification()
COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


def picture(colour="red", size=(8, 6), **options):
    file = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(file, options.pop("format", "PNG"), **options)
    return file.getvalue()


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def folders(tmp_path):
    """`photos/red` and `photos/blue`, ten PNG each, every one of another size."""
    for name in COLOURS:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "photos" / name / f"{number}.png").write_bytes(picture(name, (8 + number, 6)))
    return tmp_path / "photos"


def refused(what):
    with pytest.raises(DataError) as caught:
        what()
    return [(problem.what, problem.where) for problem in caught.value.problems]


def test_every_mode_becomes_upright_rgb():
    grey16 = Image.fromarray(np.full((4, 4), 32768, np.uint16))
    assert np.asarray(decoded(saved(grey16, "PNG")))[0, 0].tolist() == [128, 128, 128]
    cmyk = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    assert np.asarray(decoded(saved(cmyk, "JPEG", quality=100)))[0, 0, 0] > 200
    palette = Image.new("RGB", (4, 4), (0, 0, 255)).quantize(4)
    assert np.asarray(decoded(saved(palette, "GIF")))[0, 0].tolist() == [0, 0, 255]
    dark = Image.fromarray(np.full((4, 4), 200, np.uint16))
    assert np.asarray(decoded(saved(dark, "PNG"))).max() <= 1, "16 bits say what is white, however dark the rest is"
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert np.asarray(decoded(saved(clear, "PNG")))[0, 0].tolist() == [255, 255, 255]
    half = Image.new("LA", (4, 4), (0, 128))
    assert abs(int(np.asarray(decoded(saved(half, "PNG")))[0, 0, 0]) - 127) <= 1
    lying = Image.new("RGB", (6, 4))
    exif = lying.getexif()
    exif[0x0112] = 6
    assert decoded(saved(lying, "JPEG", exif=exif)).size == (4, 6)


def bomb(width, height):
    """A PNG file of a few bytes whose header says that it is huge."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"not an image", "it is no image of a known format"),
        (picture(size=(64, 64), format="JPEG")[:400], "it cannot be decoded"),
        (bomb(20_000, 8_000), "more than the 100,000,000 that an image may have"),
        (bomb(60_000, 60_000), "it cannot be decoded: Image size"),
        (picture(size=(1, 9)), "there is nothing to see in them"),
        (saved(Image.fromarray(np.array([[0, 1], [2, np.inf]], np.float32)), "TIFF"), "pixels that are no numbers"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is no image of a known format"),
    ],
    ids=["empty", "text", "cut off", "bomb", "larger bomb", "a line", "no number", "a program"],
)
def test_what_cannot_be_decoded_is_refused_with_the_reason(data, reason):
    with pytest.raises(ValueError, match=reason):
        decoded(data)


def test_class_folders_become_rows_and_repeated_images_are_seen(folders):
    (folders / "blue" / "below").mkdir()
    (folders / "blue" / "below" / "same.png").write_bytes((folders / "blue" / "0.png").read_bytes())
    (folders / "blue" / ".hidden").write_text("an editor's")
    corpus = read_corpus(ImageFolders(train=str(folders), validation_size=2, test_size=2), TASK)
    assert corpus.labels == ("blue", "red") and sum(map(len, corpus.splits.values())) == 21
    told = corpus.report["splits"]["train"]["images"]
    assert told["formats"] == {"PNG": 17} and told["height"]["least"] == told["height"]["longest"] == 6
    repeats = corpus.report["duplicates"]
    assert sum(repeats["repeated"].values()) + sum(repeats["shared"].values()) == 1
    rows = read_rows(Table(train="unused.csv"), TASK, str(folders))
    assert [row.label for row in rows] == ["blue"] * 11 + ["red"] * 10


def test_all_that_is_wrong_with_folders_is_told_together(folders):
    (folders / "green").mkdir()
    (folders / "lost.png").write_bytes(picture())
    (folders / "red" / "0.png").write_bytes(picture()[:50])
    (folders / "red" / "notes.txt").write_text("no image")
    problems = refused(lambda: read_corpus(ImageFolders(train=str(folders)), TASK))
    assert [what for what, _ in problems] == [
        "the image is in no label's folder",
        "the folder of the label 'green' holds no images",
        problems[2][0],
        "the image cannot be used: it is no image of a known format",
    ]
    assert problems[2][0].startswith("the image cannot be used: it cannot be decoded")
    assert problems[2][1] == str(folders / "red" / "0.png")
    for place in ("nowhere", "red"):
        (problem,) = refused(lambda place=place: read_corpus(ImageFolders(train=str(folders / place)), TASK))
        assert ("no folder" in problem[0]) == (place == "nowhere") or "holds no folders" in problem[0]


def test_broken_images_are_left_out_and_counted_where_the_recipe_says_so(folders):
    (folders / "red" / "0.png").write_bytes(picture()[:50])
    (folders / "blue" / "moving.gif").write_bytes(saved(Image.new("P", (4, 4)), "GIF"))
    corpus = read_corpus(ImageFolders(train=str(folders)), ImageClassification(broken="skip"))
    assert sum(map(len, corpus.splits.values())) == 20
    broken, moving = corpus.report["warnings"]
    assert broken.startswith("train: 1 images cannot be used and are left out: ") and "red/0.png: it cannot" in broken
    assert moving.startswith("train: 1 GIF among 19 PNG, of which the first frame is taken: ")


def test_paths_in_a_table_count_from_its_folder_and_all_that_is_wrong_is_told(folders, monkeypatch):
    monkeypatch.chdir("/")
    table = folders / "train.csv"
    rows = [f"{name}/{number}.png,{name}\n" for name in COLOURS for number in range(10)]
    table.write_text("photo,label\n" + "".join(rows))
    data = Table(train=str(table), image="photo")
    corpus = read_corpus(data, TASK)
    assert corpus.labels == ("blue", "red") and len(corpus.splits["train"]) == 16
    before = content_digest(data, TASK)
    (folders / "red" / "0.png").write_bytes(picture("blue"))
    assert content_digest(data, TASK) != before, "an image that changed is other data"
    table.write_text("image,label\n../secret.png,red\nred/none.png,red\nred/1.png,\nred/2.png,red\n")
    problems = refused(lambda: read_corpus(Table(train=str(table)), TASK))
    assert problems == [
        ("the path '../secret.png' leads out of the folder of the table", "train.csv row 2"),
        ("the row has no label", "train.csv row 4"),
        ("the image cannot be used: there is no such file", "train.csv row 3 (red/none.png)"),
    ]


def test_parquet_and_json_hold_images_too(folders):
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as Column

    files = [str(path) for path in sorted(folders.rglob("*.png"))]
    features = Features({"image": Column(), "label": ClassLabel(names=["blue", "red"])})
    set_ = Dataset.from_dict({"image": files, "label": [0] * 10 + [1] * 10}, features=features)
    set_.to_parquet(folders / "train.parquet")
    set_.save_to_disk(folders / "saved")
    for place in ("train.parquet", "saved"):
        rows = read_rows(Table(train=str(folders / place)), TASK, str(folders / place))
        assert [row.label for row in rows] == ["blue"] * 10 + ["red"] * 10
        assert rows[0].image.pixels().getpixel((0, 0)) == (0, 0, 255)
    lines = [json.dumps({"image": f"red/{n}.png", "label": n % 2}) for n in range(10)]
    (folders / "train.jsonl").write_text("\n".join(lines))
    assert read_corpus(Table(train=str(folders / "train.jsonl")), TASK).labels == ("0", "1")


def test_links_that_lead_nowhere_and_linked_folders_are_told(folders, tmp_path):
    (folders / "red" / "gone.png").symlink_to("/nowhere/gone.png")
    (folders / "green").symlink_to("/nowhere")
    (folders / "red" / "more").symlink_to(folders / "blue")
    problems = refused(lambda: read_corpus(ImageFolders(train=str(folders)), TASK))
    assert problems == [
        ("the link leads nowhere", str(folders / "green")),
        ("the folder is a link, which is not followed below a label's folder", str(folders / "red" / "more")),
        ("the image cannot be used: there is no such file", str(folders / "red" / "gone.png")),
    ]
    for name in ("green", "red/more"):
        (folders / name).unlink()
    skipping = ImageClassification(broken="skip")
    data = ImageFolders(train=str(folders))
    assert content_digest(data, skipping) and sum(map(len, read_corpus(data, skipping).splits.values())) == 20


def test_names_that_are_no_text_or_too_long_or_no_files_are_told(folders):
    (folders / "red" / "0.png").rename(os.fsdecode(os.fsencode(folders / "red") + b"/\xff.png"))
    Path(os.fsdecode(os.fsencode(folders / "red") + b"/\xfe.png")).write_bytes(b"broken")
    data = ImageFolders(train=str(folders))
    assert content_digest(data, TASK)
    (warning,) = read_corpus(data, ImageClassification(broken="skip")).report["warnings"]
    assert r"\udcfe.png: it is no image" in warning and warning.isascii()
    table = folders / "train.csv"
    os.mkfifo(folders / "pipe.png")
    table.write_text(f"image,label\n{'red/' + 'x' * 5000},red\nred,red\npipe.png,red\n")
    content_digest(Table(train=str(table)), TASK)
    problems = refused(lambda: read_corpus(Table(train=str(table)), TASK))
    assert [what.partition(": ")[2] for what, _ in problems] == [
        "it cannot be read: File name too long",
        "it is a folder",
        "it is no file",
    ]
    assert len(problems[0][1]) < 250
