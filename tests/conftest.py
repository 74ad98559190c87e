"""What holds for every test."""

from hypothesis import HealthCheck, settings

# How long an example takes depends on who else uses the machine, and says nothing about the code.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
