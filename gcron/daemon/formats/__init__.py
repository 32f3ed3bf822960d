"""Log formats: events to bytes. `text` for people, `json` and `logfmt` for machines, one record a line.

Pure: no descriptors. No control character that a job prints reaches a terminal. A new kind of event needs its words in
`text`, and its fields in `gcron.scheduler.records`.
"""
