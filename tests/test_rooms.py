"""The rooms of src/etude and the directions between them, which ruff holds (TID251)."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "etude"
# What each room may import of the others, as docs/developing.md has it.
MAY = {
    "base": "",
    "config": "base",
    "data": "base",
    "models": "base",
    "runs": "config base",
    "train": "runs config data models base",
    "preflight": "train runs config data models base",
    "report": "runs base",
    "launch": "runs base",
    "search": "runs base",
    "cli": "preflight train runs config data models report launch search base",
}
TABLES = {"report", "launch", "search"}  # may lay out one of rich's
BELOW_THE_DOOR = sorted(MAY.keys() - {"cli"})


def banned(room: str) -> set[str]:
    text = (SOURCE / room / "ruff.toml").read_text(encoding="utf-8")
    return set(tomllib.loads(text)["lint"]["flake8-tidy-imports"]["banned-api"])


def refusals(room: str, line: str) -> str:
    """Give what ruff says of a file in a room with this line."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select=TID251", "--output-format=concise",
         "--stdin-filename", str(SOURCE / room / "new.py"), "-"],
        input=line, capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    return done.stdout


def test_each_room_has_its_directions():
    rooms = {path.name for path in SOURCE.iterdir() if any(path.glob("*.py"))}
    assert rooms == MAY.keys()


@pytest.mark.parametrize("room", MAY)
def test_a_room_bans_the_rooms_that_it_may_not_import(room: str):
    of_ours = {name.removeprefix("etude.") for name in banned(room) if name.startswith("etude.")}
    assert of_ours == MAY.keys() - {room} - set(MAY[room].split())


@pytest.mark.parametrize("room", BELOW_THE_DOOR)
def test_a_room_below_the_door_knows_no_command_line(room: str):
    hydra = {"hydra.core", "hydra._internal"} if room == "config" else {"hydra", "omegaconf"}
    assert banned(room) >= {"argparse", *hydra}
    assert ("rich" in banned(room)) is (room not in TABLES)


@pytest.mark.parametrize("room", BELOW_THE_DOOR)
def test_an_import_against_the_direction_is_refused(room: str):
    assert "`etude.cli` is banned" in refusals(room, "from etude.cli.terminal import remark\n")
    assert "TID251" not in refusals(room, f"from etude.{room} import new\n")


def test_what_hydra_keeps_to_itself_is_used_in_one_file():
    assert "`hydra._internal` is banned" in refusals("cli", "import hydra._internal.hydra\n")
    inside = [p.name for p in SOURCE.rglob("*.py") if "hydra._internal" in p.read_text("utf-8")]
    assert inside == ["hydra_door.py"]
