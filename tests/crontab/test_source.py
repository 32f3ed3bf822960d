"""Reading from the file system: what is refused costs one line and no time."""

import os
import socket
import time
from pathlib import Path

import pytest

from gcron.crontab import CrontabError, load, load_paths
from gcron.crontab.source import read

ENTRY = b"0 3 * * * backup\n"
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def crontab(tmp_path: Path) -> Path:
    path = tmp_path / "crontab"
    path.write_bytes(ENTRY)
    path.chmod(0o644)
    return path


def refusal(path: str | Path) -> str:
    start = time.monotonic()
    with pytest.raises(CrontabError) as caught:
        load(path)
    assert time.monotonic() - start < 1
    (problem,) = caught.value.problems
    assert "\n" not in str(caught.value).partition("\n  hint: ")[0]
    return problem.message.removeprefix("cannot be read: ")


def test_a_regular_file_is_read(crontab: Path) -> None:
    assert [entry.path for entry in load(crontab).entries] == [str(crontab)]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == "no such file or directory"


def test_a_path_with_a_nul_is_refused() -> None:
    assert "null" in refusal("a\0b")


def test_a_fifo_without_writer_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    assert refusal(tmp_path / "fifo") == "it is a FIFO, not a regular file"


def test_a_directory_is_refused_as_a_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "it is a directory, not a regular file"


def test_a_device_is_refused() -> None:
    assert refusal("/dev/zero") == "it is a character device, not a regular file"


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))

        assert refusal(tmp_path / "socket")


@pytest.mark.skipif(AS_ROOT, reason="root may read anything")
def test_an_unreadable_file_is_refused(crontab: Path) -> None:
    crontab.chmod(0)

    assert refusal(crontab) == "permission denied"


def test_an_open_that_is_not_permitted_is_reported(crontab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int, **_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)

    assert refusal(crontab) == "permission denied"


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 2 * 1024 * 1024, 1 << 30])
def test_a_file_of_more_than_1_mib_is_refused(crontab: Path, size: int) -> None:
    os.truncate(crontab, size)

    assert refusal(crontab) == "it is larger than 1 MiB"


def test_a_file_of_exactly_1_mib_is_read(crontab: Path) -> None:
    crontab.write_bytes(ENTRY + b"#" * (1024 * 1024 - len(ENTRY)))

    assert len(load(crontab).entries) == 1


def test_a_binary_file_is_one_error(crontab: Path) -> None:
    crontab.write_bytes(bytes(range(256)) * 1000)

    (problem,) = load(crontab).problems

    assert problem.message.startswith("not a crontab")


def test_a_file_that_changes_while_it_is_read_is_refused(crontab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.read

    def read_and_append(descriptor: int, size: int) -> bytes:
        with crontab.open("ab") as file:
            file.write(ENTRY)
        return read(descriptor, size) if crontab.stat().st_size < 100 else b""

    monkeypatch.setattr(os, "read", read_and_append)

    assert refusal(crontab) == "it changed while it was read"


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_root_refuses_a_file_of_somebody_else(crontab: Path) -> None:
    os.chown(crontab, 12345, 0)

    assert refusal(crontab) == "it belongs to uid 12345, not to root"


@pytest.mark.skipif(not AS_ROOT, reason="the rule is root's")
def test_root_refuses_a_file_that_anybody_can_write(crontab: Path) -> None:
    crontab.chmod(0o666)

    assert refusal(crontab) == "anybody can write it"


@pytest.mark.skipif(not AS_ROOT, reason="the rule is root's")
def test_root_refuses_a_file_that_a_group_can_write(crontab: Path) -> None:
    os.chown(crontab, 0, 12345)
    crontab.chmod(0o664)

    assert refusal(crontab) == "group 12345 can write it"


@pytest.mark.skipif(not AS_ROOT, reason="the rule is root's")
def test_root_reads_a_file_that_its_own_group_can_write(crontab: Path) -> None:
    """A checkout under umask 002 in an image has such files."""
    os.chown(crontab, 0, 0)
    crontab.chmod(0o664)

    assert len(load(crontab).entries) == 1


def test_others_may_read_what_anybody_can_write(crontab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crontab.chmod(0o666)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert len(load(crontab).entries) == 1


def test_no_descriptor_is_left_open(crontab: Path) -> None:
    before = os.listdir("/proc/self/fd")
    load(crontab)
    refusal(crontab.parent)

    assert os.listdir("/proc/self/fd") == before


def test_a_directory_means_its_files_in_the_manner_of_cron_d(tmp_path: Path) -> None:
    for name in ("b", "a", "c.rpmsave", "d~", ".hidden", "#e#", "f.sh"):
        (tmp_path / name).write_bytes(ENTRY)
    (tmp_path / "below").mkdir()

    assert [Path(crontab.path).name for crontab in load_paths([tmp_path])] == ["a", "b"]


def test_all_paths_that_cannot_be_read_are_reported_together(tmp_path: Path, crontab: Path) -> None:
    with pytest.raises(CrontabError) as caught:
        load_paths([tmp_path / "x", crontab, tmp_path / "y"])

    assert len(caught.value.problems) == 2


def test_a_removed_working_directory_matters_only_to_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root could not even read a crontab by its absolute path: "no such file or directory"."""
    crontab = tmp_path / "crontab"
    crontab.write_text("@daily true\n")
    directory = tmp_path / "removed"
    directory.mkdir()
    monkeypatch.chdir(directory)
    directory.rmdir()
    assert read(crontab) == b"@daily true\n"
    with pytest.raises(CrontabError, match="no such file or directory"):
        read("crontab")
