"""Log formats: events to bytes. `text` for people, `json` and `logfmt` for machines, one record a line.

Pure: no descriptors. No control character that a job prints reaches a terminal. A new kind of event needs its words in
`text`, and its fields in `gcron.scheduler.records`.
"""

from gcron.daemon.formats.format import Format
from gcron.daemon.formats.json import JsonFormat
from gcron.daemon.formats.logfmt import LogfmtFormat
from gcron.daemon.formats.text import TextFormat, duration

__all__ = ["Format", "JsonFormat", "LogfmtFormat", "TextFormat", "duration"]
