"""Which program a command is about: readable, and never a secret."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.crontab.program import program_of

PROGRAMS = {
    "backup": "backup",
    "/usr/local/bin/backup --all": "backup",
    "./run.sh": "run.sh",
    "/opt/x/y;z": "y",
    '"/opt/my dir/tool" x': "tool",
    "$HOME/bin/backup": "backup",
    "/usr/bin/pg_dump orders | gzip > /backup/orders.gz": "pg_dump",
    ">/dev/null 2>&1 backup": "backup",
    "(backup)": "backup",
    "! backup": "backup",
    # what prepares or guards
    "cd /srv && ./run --fast": "run",
    "cd /srv/app && php artisan schedule:run >> /dev/null 2>&1": "php-artisan",
    "test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew":
        "certbot",
    "[ -x /usr/bin/backup ] && /usr/bin/backup": "backup",
    "[ -d /run/systemd/system ] || /usr/sbin/logrotate /etc/logrotate.conf": "logrotate",
    "test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )": "run-parts-cron.daily",
    "[ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then /usr/lib/php/sessionclean; fi":
        "sessionclean",
    "command -v debian-sa1 > /dev/null && debian-sa1 1 1": "debian-sa1",
    'if [ -d "$(grep \'x\' /etc/x | awk \'{ print $NF }\')" ]; then mkdir -p /x; env LANG=C /usr/bin/mrtg a; fi':
        "mrtg",
    "sleep 5; backup": "backup",
    "echo start && backup": "backup",
    "for host in a b; do backup $host; done": "backup",
    # what runs another program
    "nice -n 19 ionice -c2 -n7 /usr/bin/find / -name x": "find",
    "nice -19 tar czf x": "tar",
    "sudo -u www-data -E env A=1 php8.2 -f /srv/x/cron.php": "php8.2-cron.php",
    "timeout -k 5 10m chronic /opt/x/run": "run",
    "flock -n /run/x.lock /opt/backup.sh --all": "backup.sh",
    'flock -n /run/x.lock -c "sudo -u bob /opt/backup.sh"': "backup.sh",
    "exec /usr/bin/foo": "foo",
    'su - postgres -c "pg_dump -Fc orders > /b/o"': "pg_dump",
    "bash -lc 'cd /x && ./report.py'": "report.py",
    # interpreters
    "bash /opt/backup.sh": "bash-backup.sh",
    "python3 -m http.server": "python3-http.server",
    "/usr/bin/python3.11 -W ignore x.py": "python3.11-x.py",
    "java -Xmx1g -jar /opt/x.jar": "java-x.jar",
    "node --max-old-space-size=4096 /srv/job.js": "node-job.js",
    # alone, what prepares is the job
    "true": "true",
    "sleep 5": "sleep",
    'echo "$GREETING"': "echo",
    "env": "env",
    # nothing readable
    "$(cat /x) y": "",
    "`which foo` bar": "",
    "A=1": "",
    "": "",
}  # fmt: skip


@pytest.mark.parametrize(("command", "program"), PROGRAMS.items())
def test_the_program_is_found(command: str, program: str) -> None:
    assert program_of(command) == program


@pytest.mark.parametrize(
    "command",
    [
        "curl -u admin:S3cret https://host/x",
        "curl https://admin:S3cret@host/x",
        "PASSWORD=S3cret ./run",
        "env PASSWORD=S3cret ./run",
        "env -u S3cret ./run",
        "PGPASSWORD='S3cret' pg_dump db",
        "mysqldump -pS3cret db",
        "mysqldump --password S3cret db",
        "cd /srv && PASSWORD=S3cret nice ./run S3cret",
        "sudo -p S3cret ./run",
        "timeout -s S3cret 5 ./run",
        "bash -s S3cret < x",
        "bash -c 'curl -u S3cret x'",
        "php -r 'S3cret();'",
        "python3 -c S3cret",
        "perl -e S3cret",
        "php -d password=S3cret x.php",
        "php password=S3cret",
        "php https://S3cret/",
        "sh me@S3cret",
        "https://admin:S3cret@host/x",
        "A=S3cret",
        "$(login S3cret)/x",
        "`login S3cret`",
        "./run <<< S3cret",
        "./run > S3cret",
        "> S3cret",
        "export TOKEN=S3cret; ./run",
        "export TOKEN=S3cret",
        "echo S3cret | ./run",
    ],
)
def test_no_secret_gets_into_a_name(command: str) -> None:
    """Names made of a command's first words carried `curl -u admin:pw`, `-pS3cret` and URLs into every log line."""
    assert "S3cret" not in program_of(command)


@given(st.text(alphabet=" \t\n;|&()<>'\"\\`$#=/.-abcp", max_size=60) | st.text(max_size=40))
def test_any_command_has_a_name_or_none(command: str) -> None:
    assert len(program_of(command)) <= len(command)


@pytest.mark.parametrize(
    "piece", ["a ", '"', "$(", "\\", "'", "sudo ", "sh -c ", ">", "((", "`", "a=", "-x ", "if ", "flock -c '"]
)
def test_a_long_command_takes_no_time(piece: str) -> None:
    start = time.process_time()
    program_of(piece * 50_000)

    assert time.process_time() - start < 0.5
