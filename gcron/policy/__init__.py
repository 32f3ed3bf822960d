"""The options of a job: `Policy` with a row for each option, and the checks of their values."""

from gcron.policy.options import OPTIONS, Option, PolicyError, options_of
from gcron.policy.policy import Policy
from gcron.policy.values import is_name, read_name
from gcron.spelling import closest, nearest

__all__ = ["OPTIONS", "Option", "Policy", "PolicyError", "closest", "is_name", "nearest", "options_of", "read_name"]
