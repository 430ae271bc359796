"""A place takes whole files or none, and says in plain words when storage fails."""

import errno
import os
import pickle
from pathlib import Path

import pytest

from cartsim.errors import InvalidInput, Unreachable
from cartsim.store import Place
from cartsim.store.disk import WRITING, Disk


def test_files_go_in_and_out(tmp_path: Path) -> None:
    place = Place.of(tmp_path / "run")
    place.write_text("a/b.txt", "Grad ≥ 3")
    place.write_bytes("c.bin", b"\x00\xff")
    assert place.read_text("a/b.txt") == "Grad ≥ 3" and place.read_bytes("c.bin") == b"\x00\xff"
    assert place.names() == ["a/b.txt", "c.bin"] and place.names("a") == ["a/b.txt"]
    assert place.names(suffix=".bin") == ["c.bin"] and place.names("nowhere") == []
    assert place.size("c.bin") == 2 and place.exists("c.bin") and not place.exists("a")
    assert place.find("nothing") is None and place.find("c.bin/below") is None
    assert place.find_all(["c.bin", "nothing"]) == {"c.bin": b"\x00\xff", "nothing": None}
    with place.open("c.bin") as file:
        assert file.read() == b"\x00\xff"
    with pytest.raises(Unreachable, match="missing"):
        place.read_bytes("nothing")
    place.delete("c.bin")
    place.delete("c.bin")
    assert place.names() == ["a/b.txt"]
    other = Place.of(tmp_path / "other")
    assert other.copy_from(place, "a/b.txt").decode() == "Grad ≥ 3" and other.names() == ["a/b.txt"]
    place.delete_all()
    assert not (tmp_path / "run").exists()


def test_names_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = Place.of("results/run")
    assert (place.text, place.name, place.local) == ("results/run", "run", tmp_path / "results" / "run")
    assert place.uri == "results/run" and place.where("adsl") == "results/run/adsl"
    assert place.beside("other").local == tmp_path / "results" / "other"
    assert Place.of(place) is place and Place.of(Path("results/run")) == place
    assert Place.of(f"file://{tmp_path}/x").local == tmp_path / "x"
    assert len({place, Place.of("results/run"), Place.of("results/other")}) == 2


def test_names_of_buckets() -> None:
    place = Place.of("s3://bucket/a/run?endpoint_override=localhost:9000&scheme=http", region="eu-1")
    assert (place.text, place.name, place.local) == ("s3://bucket/a/run", "run", None)
    assert place == Place.of("s3://bucket/a/run", endpoint="http://localhost:9000/", region="eu-1")
    assert Place.of(place.uri) == place and place != Place.of("s3://bucket/a/run")
    assert (
        place.beside("other").uri.startswith("s3://bucket/a/other?")
        and place.where("x") == "s3://bucket/a/run/x"
    )
    # a path that pathlib has folded
    assert Place.of(Path("s3://bucket/a")).text == "s3://bucket/a"
    assert Place.of("gcs://bucket/a").text == "gcs://bucket/a"
    copy = pickle.loads(pickle.dumps(place))
    assert copy == place and copy.uri == place.uri


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("s3://", "no bucket"),
        ("gs:///", "no bucket"),
        ("ftp://host/run", "no such kind"),
        ("s3://bucket/run?colour=red", "no option 'colour'"),
    ],
)
def test_names_that_mean_nothing(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        Place.of(text)
    assert caught.value.mend


def test_azure_needs_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)
    with pytest.raises(InvalidInput, match="storage account"):
        Place.of("abfs://container/run").exists("x")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = Place.of(tmp_path)
    place.write_text("a", "old")
    with pytest.raises(ZeroDivisionError), place.writing("a") as file:
        file.write_text("half of the n")
        assert place.names() == ["a"] and place.read_text("a") == "old"
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and place.read_text("a") == "old"
    with place.writing("a") as file:
        file.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and place.read_text("a") == "new"


def test_what_a_killed_writer_left_is_swept_up(tmp_path: Path) -> None:
    place = Place.of(tmp_path)
    place.write_text("adsl/part", "rows")
    (tmp_path / "adsl" / f".part.1-abcd{WRITING}").write_text("half")
    assert place.names() == ["adsl/part"]
    place.sweep()
    assert [p.name for p in (tmp_path / "adsl").iterdir()] == ["part"]


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["write_bytes", "replace"])
def test_a_full_disk_is_said_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    place = Place.of(tmp_path)
    place.write_text("a", "old")
    if where == "replace":
        monkeypatch.setattr(os, "replace", full)
    else:
        monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Unreachable, match="no space is left") as caught:
        place.write_text("a", "new")
    assert caught.value.exit_code == 6 and "No space left" in str(caught.value) and caught.value.mend
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and place.read_text("a") == "old"


def test_a_really_full_device_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's own answer: the temporary file is a link to /dev/full."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / f".a.1-00000000{WRITING}").symlink_to("/dev/full")
    with pytest.raises(Unreachable, match="no space is left"):
        Place.of(tmp_path).write_text("a", "new")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / f".cartsim-1-00000000{WRITING}").symlink_to("/dev/full")
    with pytest.raises(Unreachable, match="no space is left"):
        Place.of(tmp_path).reach()


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    for act in (
        lambda p: p.write_text("a", "x"),
        lambda p: p.names(),
        lambda p: p.reach(),
    ):
        with pytest.raises(Unreachable):
            act(Place.of(tmp_path / "run"))
    assert (tmp_path / "run").read_text() == "mine"


def test_reaching_makes_no_folder(tmp_path: Path) -> None:
    Place.of(tmp_path / "a" / "b").reach()
    assert list(tmp_path.iterdir()) == []


def test_files_that_vanish_while_listing_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_text("x")
    monkeypatch.setattr(os, "walk", lambda *_, **__: [(str(tmp_path), [], ["there", "gone"])])
    assert list(Disk(tmp_path).listing("")) == ["there"]
