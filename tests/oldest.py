"""The oldest versions that pyproject.toml allows, as constraints for pip."""

import sys
import tomllib
from itertools import chain
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def constraints() -> list[str]:
    """Give what runs need at the lowest version that is allowed."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [extras[name] for name in ("search", "pandas", "slurm")]
    wanted = [*project["dependencies"], *chain(*asked)]
    bounds = (requirement.partition(",")[0] for requirement in wanted)
    return [bound.replace(">=", "==") for bound in bounds]


if __name__ == "__main__":
    sys.stdout.write("\n".join(constraints()) + "\n")
