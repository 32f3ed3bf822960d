"""The cron files of Debian's packages: none is refused, each line has its user, and fires when it should.

The packages are downloaded and taken apart in a temporary directory. Where there is no apt or no network, the tests are
skipped. What is expected is read from the files in the simplest way, and computed by the naive oracle.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gcron.crontab import Loaded, LoadSettings, load_all
from gcron.policy import is_name
from tests.schedule import oracle

PACKAGES = [
    "amavisd-new", "anacron", "atop", "backupninja", "certbot", "clamav-unofficial-sigs", "cron-apt",
    "cron-daemon-common", "dma", "e2fsprogs", "leafnode", "logcheck", "mailman3", "mdadm", "munin", "munin-node",
    "ntpsec", "php-common", "sanoid", "sysstat",
]  # fmt: skip
# The users whom the packages' maintainers chose.
USERS = {
    "amavisd-new": {"amavis"},
    "clamav-unofficial-sigs": {"clamav"},
    "crontab": {"root"},
    "leafnode": {"news"},
    "logcheck": {"logcheck"},
    "mailman3": {"list"},
    "munin": {"munin", "www-data"},
    "php": {"root"},
}
LINE = re.compile(r"^((?:[0-9*][0-9*,/-]*[ \t]+){5}|@\w+[ \t]+)([a-z][\w-]*)[ \t]+(\S.*)$", re.MULTILINE)
START = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
END = START + 2 * 86400


@pytest.fixture(scope="module")
def etc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the packages' /etc/crontab and /etc/cron.d."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("there is no apt here")
    folder = tmp_path_factory.mktemp("packages")
    folder.chmod(0o755)
    command = ["apt-get", "-q", "download", *PACKAGES]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=300)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the packages cannot be downloaded: {error.stderr.strip()[-200:]}")
    except subprocess.TimeoutExpired:
        pytest.skip("the packages cannot be downloaded: no answer in five minutes")
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
    return folder / "root" / "etc"


@pytest.fixture(scope="module")
def loaded(etc: Path) -> Loaded:
    return load_all([str(etc / "crontab"), str(etc / "cron.d")], LoadSettings(system=True))


def test_no_file_is_refused(etc: Path, loaded: Loaded) -> None:
    assert len(loaded.crontabs) >= 15
    assert loaded.errors == ()
    doubts = {problem.message for problem in loaded.problems} - {"nothing on this machine sends mail"}
    assert all(doubt.startswith("there is no user ") for doubt in doubts)


def test_each_line_has_its_user_and_its_command(etc: Path, loaded: Loaded) -> None:
    for crontab in loaded.crontabs:
        expected = [(line[2], line[3]) for line in LINE.finditer(Path(crontab.path).read_text())]
        assert [(entry.user, entry.command.replace("%", "\\%")) for entry in crontab.entries] == expected
        name = Path(crontab.path).name
        assert USERS.get(name, set()) <= {user for user, _ in expected}
    assert sum(len(crontab.entries) for crontab in loaded.crontabs) >= 30


def test_each_line_fires_when_it_should(loaded: Loaded) -> None:
    for entry in loaded.entries:
        if entry.schedule_text == "@reboot":
            assert entry.schedule.next_after(START) is None
            continue
        found, fire = [], entry.schedule.next_after(START - 1)
        while fire is not None and fire < END:
            found.append(fire)
            fire = entry.schedule.next_after(fire)
        assert found == oracle.fires(entry.schedule_text, UTC, START, END), entry.path


def test_each_job_has_a_name_that_one_can_type(loaded: Loaded) -> None:
    names = [entry.name for entry in loaded.entries]

    assert len(set(names)) == len(names)
    assert all(is_name(name) and name.isascii() and len(name) <= 40 for name in names)
    assert {"certbot", "sessionclean", "debian-sa1", "debian-sa1-2", "checkarray", "sanoid", "munin-cron"} <= set(names)
