"""Hydra's own suites for launchers, unchanged; all that they need is in Hydra's wheel."""

from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite

from hydra_plugins.etude_local.local import LocalLauncher

# The suites' own names of configuration nodes are of an older Hydra, which warns of them.
pytestmark = pytest.mark.filterwarnings("default")
NOTHING_TO_PRELOAD = "hydra.launcher.preload=[]"


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_hydra_discovers_the_launcher():
    assert LocalLauncher.__name__ in {x.__name__ for x in Plugins.instance().discover(Launcher)}


@pytest.mark.parametrize(("launcher_name", "overrides"), [("local", [NOTHING_TO_PRELOAD])])
class TestLauncher(LauncherTestSuite):
    pass


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [({}, ["-m", "hydra/launcher=local", NOTHING_TO_PRELOAD])],
)
class TestIntegration(IntegrationTestSuite):
    pass
