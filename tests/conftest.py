"""What holds for all tests."""

from hypothesis import HealthCheck, settings
from tests.calling import graphwright, model, optimize, wrong_rule

__all__ = ["graphwright", "model", "optimize", "wrong_rule"]

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("untimed")
