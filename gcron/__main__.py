"""`python -m gcron`: the command line."""

from gcron_boot import main

if __name__ == "__main__":
    raise SystemExit(main())
