"""What holds for every test."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes depends on who else uses the machine, and says nothing about the code.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(scope="session", autouse=True)
def keys_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A device of its own for this run, and for every process that it starts; nobody's real keys are used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SURGICAL_ML_KEYS", str(tmp_path_factory.mktemp("device") / "keys"))
        yield
