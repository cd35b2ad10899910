"""Hydra's own suite, and the search as any Hydra application meets it."""

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite

pytest.importorskip("optuna", reason="etude[search] is not installed")


def test_hydra_finds_the_sweeper():
    names = {sweeper.__name__ for sweeper in Plugins.instance().discover(Sweeper)}
    assert "SearchSweeper" in names


@pytest.mark.filterwarnings("ignore")  # it composes as Hydra 1.1 did
@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [
        (
            "basic",
            ["hydra/sweeper=search", "hydra.sweeper.sampler=grid", "hydra.sweeper.n_jobs=2"],
        )
    ],
)
class TestHydrasSuiteForBatchedSweepers(BatchedSweeperTestSuite):
    pass
