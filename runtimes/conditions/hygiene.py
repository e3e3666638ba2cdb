"""The names of ``affinity`` and ``prepare`` under the module's earlier name, for callers that have not moved yet."""

from runtimes.conditions.affinity import affinity_mask, verify_pinning
from runtimes.conditions.prepare import fix_performance_mode, stay_awake, wait_for_temperature

__all__ = ["affinity_mask", "fix_performance_mode", "stay_awake", "verify_pinning", "wait_for_temperature"]
