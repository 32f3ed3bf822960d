"""Draw the pictures of the pages: a real `gcron run --http`, in Debian's chromium.

    python docs/pictures/draw_pages.py

It runs the jobs below for a minute and a half, some of which fail, and takes a picture of two pages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
RUN_FOR = 95
CRONTAB = """\
# gcron: name=backup description="database and uploads, to the other building"
@every 7s sleep 0.4; echo 'dumped 1.2 GB'
# gcron: name=invoices
@every 11s test $(($(date +\\%s) / 7 \\% 4)) -ne 0 || { echo 'no connection to billing:5432'; exit 2; }
# gcron: name=import-prices
@every 13s echo 'no connection to prices.example.org'; exit 2
# gcron: name=thumbnails
@every 31s for i in 1 2 3 4 5 6 7 8 9; do echo "album $i"; sleep 2; done
# gcron: name=refresh-cache
@every 5s echo refreshed
# gcron: name=rotate-logs
0 3 * * * true
# gcron: name=weekly-report
30 8 * * mon true
# gcron: name=certificates
15 4 * * * true
# gcron: name=web
@service sleep 1000
"""
PAGES = {"jobs.png": "/", "job.png": "/jobs/backup"}


def main() -> None:
    """Run gcron, and look at its pages."""
    with tempfile.TemporaryDirectory() as directory:
        crontab = Path(directory, "jobs.crontab")
        crontab.write_text(CRONTAB)
        words = [
            "run",
            "--state",
            f"{directory}/state",
            "--instance",
            "example",
            "--no-control",
            "--http",
            "127.0.0.1:0",
        ]
        environment = os.environ | {"PYTHONPATH": str(HERE.parent.parent)}
        command = [sys.executable, "-m", "gcron", *words, crontab.name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=directory, env=environment)
        assert process.stdout is not None
        try:
            (link,) = re.findall(r"http://\S+", process.stdout.readline())
            deadline = time.monotonic() + RUN_FOR
            while time.monotonic() < deadline:  # read, so that it does not wait for its reader
                process.stdout.readline()
            _draw(link)
        finally:
            process.terminate()
            process.communicate()


def _draw(link: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 860})
        page.goto(link)
        for name, path in PAGES.items():
            page.goto(link.partition("/?")[0] + path)
            page.wait_for_timeout(1000)
            page.screenshot(path=HERE / name)
        browser.close()


if __name__ == "__main__":
    main()
