"""What `--help` says beside the options, in lines for a terminal of 80 columns: examples, exit statuses."""

from __future__ import annotations

__all__ = [
    "CHECK_EPILOG",
    "COMPLETION_EPILOG",
    "DESCRIPTION",
    "EPILOG",
    "EXEC_EPILOG",
    "EXPLAIN_EPILOG",
    "HELP_EPILOG",
    "NEXT_EPILOG",
]

DESCRIPTION = """\
A cron that supervises what it starts.

  gcron run crontab.example      run its jobs, here in the foreground
  gcron exec crontab.example JOB run one job now
  gcron check crontab.example    say everything that is wrong with it
  gcron next crontab.example     show what fires when
  gcron explain '30 2 * * mon'   say a schedule in words
  gcron help                     list the topics of the documentation
"""
EPILOG = """\
Every long option but --job can also be set in the environment: --log-format as
GCRON_LOG_FORMAT.

Exit status: 0 all well; 1 a crontab, schedule or time is wrong or cannot be
read; 2 the command line is wrong; 3 jobs had to be killed at shutdown;
4 something that cannot be killed is left; 130 Ctrl-C.
"""
CHECK_EPILOG = """\
examples:
  gcron check crontab                 say what is wrong, with the place
  crontab -l | gcron check -          what cron has of yours
  gcron check --strict crontab        fail on warnings too, in a pre-commit hook
  gcron check --system /etc/crontab   a file with a user column
  gcron check --json crontab          one object a line, for editors

exit status: 0 no errors; 1 errors, or with --strict warnings; 2 the command
line is wrong
"""
EXEC_EPILOG = """\
examples:
  gcron exec crontab backup                   works in the shell, not in cron?
  gcron exec --system /etc/crontab logrotate  a file with a user column, as root
  gcron exec crontab report > report.csv      what it prints, and nothing else

exit status: the job's own; 128 + N when signal N has ended it, or gcron exec
was told to stop by it; 124 when its timeout has; 125 when gcron itself fails:
the file, the job's name; 126, 127 when it cannot be started
"""
NEXT_EPILOG = """\
examples:
  gcron next crontab                      the next ten fires of all jobs
  gcron next -n 3 --job backup crontab    the next three of one job
  gcron next --from=-1d --to now crontab  what was due since yesterday

  what happens on the night of a clock change:
  gcron next --from 2027-03-28 --to 2027-03-29 crontab

exit status: 0 shown; 1 a file, job or time is wrong; 2 the command line is
wrong
"""
EXPLAIN_EPILOG = """\
examples:
  gcron explain '30 2 1 * mon'                  the 1st or a Monday? either
  gcron explain '30 2 * * *' --tz Europe/Paris  with the clock changes there
  gcron explain 'H H * * *' --job backup        the time drawn from that name
  gcron explain '@every 90s'

exit status: 0 explained; 1 the schedule, zone or time is wrong; 2 the command
line is wrong
"""
HELP_EPILOG = """\
examples:
  gcron help                    the list of topics
  gcron help options            what may stand behind # gcron:
  gcron help next               what the command prints, with samples
  gcron help crontab | less     in a pipe it is plain Markdown

exit status: 0 shown; 2 there is no such topic
"""
COMPLETION_EPILOG = """\
put it where the shell looks:
  gcron completion bash > ~/.local/share/bash-completion/completions/gcron
  gcron completion zsh > ~/.zfunc/_gcron   # fpath+=~/.zfunc before compinit
  gcron completion tcsh > ~/.gcron.tcsh    # source ~/.gcron.tcsh in .tcshrc
"""
