"""The command line: one module a command. A thin user of the library; nothing below knows of it."""
