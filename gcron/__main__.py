"""`python -m gcron`: the command line."""

from gcron.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
