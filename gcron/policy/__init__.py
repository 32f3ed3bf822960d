"""The options of a job: their table, the checks of their values, and `Policy`, which holds them."""

from gcron.policy.options import OPTIONS, Option, PolicyError
from gcron.policy.policy import Policy
from gcron.policy.spelling import closest, nearest

__all__ = ["OPTIONS", "Option", "Policy", "PolicyError", "closest", "nearest"]
