"""The options of a job: their table, the checks of their values, and `Policy`, which holds them."""

from gcron.policy.options import OPTIONS, Option, PolicyError
from gcron.policy.policy import Policy
from gcron.policy.spelling import closest, nearest
from gcron.policy.values import is_name, read_name

__all__ = ["OPTIONS", "Option", "Policy", "PolicyError", "closest", "is_name", "nearest", "read_name"]
