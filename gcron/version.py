"""The version, in one place: the package metadata and `gcron --version` both read it here."""

__version__ = "0.1.0"
