"""Where images in bulk are found, and the pieces that they are read in."""

import json
import os
import zipfile

import fsspec
import pyarrow
import pytest
from pyarrow import parquet

from bulk.pieces import Files, Rows, read_object
from bulk.sources import Columns, find_source, is_bulk
from imaging import RefusedError
from service.decoding.files import find_image_files


def read(source, size=7, skip=frozenset()):
    """What the pieces of a source read, by name."""
    found = []
    for piece in source.pieces(size, skip):
        assert 0 < len(piece) <= size
        assert piece.first == len(found)
        loads = [load() for load in piece.loads()]
        found += zip(piece.names(), loads, strict=True)
    return found


@pytest.fixture(scope="module")
def shop(contents):
    """A folder of an object store: images, one hidden, and a text."""
    system = fsspec.filesystem("memory")
    for i, content in enumerate(contents[:20]):
        system.pipe(f"/shop/{i % 3}/{i:02}.png", content)
    system.pipe("/shop/.trash/a.png", contents[0])
    system.pipe("/shop/notes.txt", b"of no matter")
    yield "memory://shop"
    system.rm("/shop", recursive=True)


def test_a_folder_is_that_of_other_commands(folder):
    found, known = find_source([str(folder)]), find_image_files([folder])
    assert [*found.files()] == known
    assert [*found.names()] == [str(file.path) for file in known]
    assert len(read(found)) == len(found) == 150


def test_a_folder_of_an_object_store(shop, contents):
    found = find_source([shop])
    assert {file.folder for file in found.files()} == {"0", "1", "2"}
    assert [file.name for file in found.files()][:2] == ["0/00.png", "0/03.png"]
    assert dict(read(found))["memory:///shop/1/04.png"] == contents[4]
    assert len(found) == 20


def test_a_folder_that_is_named_by_a_url_is_the_same(folder, tmp_path):
    """With linked folders, which a file system of fsspec's leaves out."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "linked").symlink_to(folder)
    by_url, by_path = find_source([f"file://{tmp_path}/shop"]), find_source([f"{tmp_path}/shop"])
    assert [file.name for file in by_url.files()] == [file.name for file in by_path.files()]
    assert len(read(by_url)) == 150


@pytest.mark.parametrize("group", [3, 40, 150])
def test_rows_of_a_table(write_table, contents, group):
    table = write_table({"image": contents}, group)
    found = read(find_source([str(table)]), 16)
    assert [content for _, content in found] == contents
    assert [name for name, _ in found][:2] == [f"{table}#0", f"{table}#1"]


def test_images_as_the_datasets_package_writes_them(write_table, contents):
    cells = [{"bytes": content, "path": f"{i}.png"} for i, content in enumerate(contents)]
    table = write_table({"image": cells, "thumbnail": contents})
    assert [content for _, content in read(find_source([str(table)]))] == contents


def described(feature):
    """What the `datasets` package writes of a column beside it."""
    return {"huggingface": json.dumps({"info": {"features": {"label": feature}}})}


def test_labels_of_the_datasets_package_are_the_names_that_it_wrote(tmp_path, contents):
    names = {"names": ["nut", "bolt"], "_type": "ClassLabel"}
    columns = {"image": contents[:4], "label": [0, 1, -1, None]}
    for feature, due in (
        (names, ("nut", "bolt", None, None)),
        ({"dtype": "int64", "_type": "Value"}, (0, 1, -1, None)),
        ({"names": ["nut", 1], "_type": "ClassLabel"}, (0, 1, -1, None)),
        ("nut", (0, 1, -1, None)),
    ):
        table = pyarrow.table(columns).replace_schema_metadata(described(feature))
        parquet.write_table(table, tmp_path / "parts.parquet")
        (found,) = find_source([str(tmp_path / "parts.parquet")]).tables
        assert found.labels == due


def test_a_folder_of_tables(write_table, contents, tmp_path):
    write_table({"image": contents[:5]}, name="a.parquet")
    write_table({"image": contents[5:9]}, name="b.parquet")
    assert [content for _, content in read(find_source([str(tmp_path)]))] == contents[:9]


def test_a_folder_of_tables_is_read_as_one_of_images(write_table, contents, tmp_path):
    """With linked folders and endings in any letters, and folders that are called as tables are."""
    for place in ("some/B.PARQUET", "some/spark.parquet/part-0.parquet", "elsewhere/a.parquet"):
        (tmp_path / place).parent.mkdir(parents=True)
        write_table({"image": contents[:2]}, name=place)
    write_table({"image": contents[:2]}, name="some/.hidden.parquet")
    (tmp_path / "some" / "linked").symlink_to(tmp_path / "elsewhere")
    found = {table.url for table in find_source([str(tmp_path / "some")]).tables}
    names = "B.PARQUET", "linked/a.parquet", "spark.parquet/part-0.parquet"
    assert found == {str(tmp_path / "some" / name) for name in names}


@pytest.mark.parametrize("size", [1, 7, 64])
def test_what_is_skipped_is_not_read(write_table, folder, contents, size):
    table = write_table({"image": contents})
    source = find_source([str(table), str(folder)])
    skip = frozenset({*range(50), 77, 149, 150, 299})
    names = [name for i, name in enumerate(source.names()) if i not in skip]
    assert [name for name, _ in read(source, size, skip)] == names


@pytest.mark.parametrize("piece", [
    Files(8, tuple(map(str, range(70)))),
    Rows(3, "a", "image", 0, 5, 25, 90, frozenset({26, 27, 60})),
])  # fmt: skip
def test_a_piece_is_cut_and_nothing_is_lost(piece):
    parts = [*piece.parts()]
    assert 1 < len(parts) <= 33
    assert [name for part in parts for name in part.names()] == [*piece.names()]
    place = piece.first
    for part in parts:
        assert part.first == place
        place += len(part)
    single = next(part for part in parts[0].parts())
    assert len([*single.parts()]) == 1


def test_parts_of_rows_read_what_the_whole_reads(write_table, contents):
    (piece,) = find_source([str(write_table({"image": contents}, 150))]).pieces(150, frozenset({4}))
    assert [load() for load in piece.loads()] == contents[:4] + contents[5:]
    parts = [load() for part in piece.parts() for load in part.loads()]
    assert parts == contents[:4] + contents[5:]


class TestRefused:
    """One sentence each."""

    def test_a_table_without_images(self, write_table):
        table = write_table({"label": [1], "name": ["a"]})
        with pytest.raises(RefusedError) as refused:
            find_source([str(table)])
        assert str(refused.value) == (
            f"The table {table} has no column of images, and the bytes of an image file in each "
            "row of one, which --image-column names, are accepted; its columns are label (int64), "
            "name (string)."
        )

    def test_a_table_with_several(self, write_table, contents):
        table = write_table({"left": contents, "right": contents})
        with pytest.raises(RefusedError, match="has several columns of bytes"):
            find_source([str(table)])
        named = find_source([str(table)], Columns("right"))
        assert named.tables[0].column == "right"
        with pytest.raises(RefusedError, match="has no column 'up' of images"):
            find_source([str(table)], Columns("up"))

    def test_a_table_without_that_label(self, write_table, contents):
        table = write_table({"image": contents})
        with pytest.raises(RefusedError, match="has no column 'kind'; its columns are image"):
            find_source([str(table)], Columns(label="kind"))

    def test_no_table(self, tmp_path):
        (tmp_path / "a.parquet").write_bytes(b"PAR1 of something else")
        with pytest.raises(RefusedError, match=r"The table .* cannot be read"):
            find_source([str(tmp_path / "a.parquet")])

    @pytest.mark.parametrize("place", ["memory://nothing", "nothing.parquet", "nothing"])
    def test_what_is_not_there(self, place):
        with pytest.raises(RefusedError):
            find_source([place])

    def test_a_file_system_that_nobody_knows(self):
        with pytest.raises(
            RefusedError, match=r"^ftpx://a cannot be read: Protocol not known: ftp"
        ):
            find_source(["ftpx://a"])


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_a_file_is_the_one_of_its_name_whatever_that_is(tmp_path, contents, kind):
    """Of a URL, two colons end what names it: the image of another name was answered for."""
    names = ["plain.png", "plain.png::a.png", "b::c.png", "d[1]*.png", "e#f.png", "g%20h.png"]
    place = f"{tmp_path}/odd"
    system = fsspec.filesystem(kind)
    put = dict(zip(names, contents[: len(names)], strict=True))
    system.makedirs(place)
    for name, content in put.items():
        system.pipe_file(f"{place}/{name}", content)
    source = find_source([f"{kind}://{place}"])
    called = dict(zip((file.name for file in source.files()), read(source), strict=True))
    assert {name: content for name, (_, content) in called.items()} == put
    assert all(name.endswith(f"/{file}") for file, (name, _) in called.items())


def test_a_table_whose_name_ends_its_url_is_refused(tmp_path, write_table, contents):
    write_table({"image": contents}).rename(tmp_path / "a.parquet::b.parquet")
    with pytest.raises(RefusedError, match="has :: in its name, which separates"):
        find_source([f"local://{tmp_path}"])


def test_an_image_in_an_archive_is_read(tmp_path, contents):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("deep/a.png", contents[0])
    source = find_source([f"zip://deep::local://{tmp_path}/a.zip"])
    assert [content for _, content in read(source)] == contents[:1]


class TestUnreadable:
    """A text in the place of an image, and the others are read."""

    def test_an_object(self, shop):
        found = read_object("/shop/9/99.png", fsspec.filesystem("memory"))
        assert isinstance(found, str)
        assert found.startswith("The object cannot be read: ")

    def test_what_nobody_may_ever_write(self, tmp_path):
        os.mkfifo(tmp_path / "a.png")
        ((_, why),) = read(find_source([f"local://{tmp_path}"]))
        assert why == "The file is a FIFO; a regular file is accepted."

    def test_a_cell(self, write_table, contents):
        table = write_table({"image": [*contents[:3], None, *contents[3:6]]})
        found = [content for _, content in read(find_source([str(table)]))]
        assert found[3] == "The table has no image in this row."
        assert found[:3] + found[4:] == contents[:6]

    def test_a_table_that_is_cut_off_meanwhile(self, write_table, contents):
        table = write_table({"image": contents}, 50)
        source = find_source([str(table)])
        whole = table.read_bytes()
        table.write_bytes(whole[: len(whole) // 2])
        found = read(source)
        assert len(found) == 150
        assert all(why.startswith("The table cannot be read: ") for _, why in found)


@pytest.mark.parametrize(
    ("place", "bulk"),
    [("photos", False), ("a.png", False), ("a.PARQUET", True), ("s3://shop/a.png", True)],
)
def test_what_other_commands_do_not_read(place, bulk):
    assert is_bulk(place) == bulk
