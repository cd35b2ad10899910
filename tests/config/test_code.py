import subprocess
import sys
from pathlib import Path

import pytest

from etude.base.errors import UserError
from etude.config.build import locate
from etude.config.code import source_digest, sources

BOMB = "raise SystemExit('imported')\n"  # what is read must not be run


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A package, and modules beside it."""
    return write(
        tmp_path / "place",
        {
            "mine/__init__.py": BOMB,
            "mine/net.py": "from .parts import blocks\nimport helper\nimport numpy, json\n" + BOMB,
            "mine/parts/__init__.py": "",
            "mine/parts/blocks.py": "def block():\n    from ..late import x\n",
            "mine/late.py": "try:\n    import mine.odd as odd\nexcept ImportError:\n    pass\n",
            "mine/odd.py": "from etude.base.errors import UserError\n",
            "mine/unrelated.py": "",
            "helper.py": "",
            "other.py": "",
        },
    )


def digest(place: Path, target: str = "mine.net.Net", *packages: str) -> str | None:
    return source_digest([target], ["mine", *packages], [str(place)])


@pytest.mark.parametrize(
    "target",
    ["etude.models.vgg.VGG", "torch.optim.SGD", "torchvision.models.vgg19", "torch.nn.Linear"],
)
def test_etudes_own_parts_and_torchs_have_none(target: str):
    assert source_digest([target], []) is None


def test_the_files_of_a_target_are_those_it_imports_wherever_the_import_stands(place: Path):
    assert sorted(sources("mine.net.Net", ["mine"], [str(place)])) == [
        "helper.py",
        "mine/__init__.py",
        "mine/late.py",
        "mine/net.py",
        "mine/odd.py",
        "mine/parts/__init__.py",
        "mine/parts/blocks.py",
    ]


@pytest.mark.parametrize(
    "name",
    ["helper.py", "mine/__init__.py", "mine/odd.py", "mine/parts/__init__.py", "mine/net.py"],
)
def test_an_edit_of_what_is_imported_is_seen_and_told(place: Path, name: str):
    before, files = digest(place), sources("mine.net.Net", ["mine"], [str(place)])
    with (place / name).open("a") as file:
        file.write("# edited\n")
    assert digest(place) != before
    after = sources("mine.net.Net", ["mine"], [str(place)])
    assert [name for name, value in after.items() if files[name] != value] == [name]


def test_an_edit_of_what_is_not_imported_changes_nothing(place: Path):
    before = digest(place)
    write(place, {"mine/unrelated.py": "x = 1\n", "other.py": "x = 1\n"})
    assert digest(place) == before


def test_code_that_moves_stays_the_same(place: Path):
    before = digest(place)
    assert digest(place.rename(place.with_name("elsewhere"))) == before


def test_a_module_in_no_package_is_read_with_those_beside_it(place: Path):
    write(place, {"single.py": "import helper, helper.nothing\nfrom mine import unrelated\n"})
    found = sources("single.Net", ["single"], [str(place)])
    assert set(found) == {"single.py", "helper.py", "mine/__init__.py", "mine/unrelated.py"}


def test_folders_without_init_are_followed(place: Path):
    write(place, {"plain/deep/net.py": "from . import near\nimport plain.deep.far\n"})
    write(place, {"plain/deep/near.py": "", "plain/deep/far.py": ""})
    found = sources("plain.deep.net.Net", ["plain"], [str(place)])
    assert set(found) == {f"plain/deep/{name}.py" for name in ("net", "near", "far")}


def test_another_package_of_the_users_is_followed_from_wherever_it_is(place: Path, tmp_path: Path):
    write(tmp_path / "second", {"shared/__init__.py": "from . import core\n", "shared/core.py": ""})
    write(place, {"mine/net.py": "import shared\n"})
    path = [str(place), str(tmp_path / "second")]
    alone = sources("mine.net.Net", ["mine"], path)
    both = sources("mine.net.Net", ["mine", "shared"], path)
    assert set(both) - set(alone) == {"shared/__init__.py", "shared/core.py"}


def test_an_installed_package_is_taken_whole_and_its_neighbours_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    installed = tmp_path / "site-packages"
    write(
        installed, {"zoo/__init__.py": "import numpy\n", "zoo/a/b.py": "", "numpy/__init__.py": ""}
    )
    write(installed, {"zoo/__pycache__/b.pyc": "", "zoo/a/weights.bin": ""})
    assert set(sources("zoo.Net", ["zoo"], [str(installed)])) == {"zoo/__init__.py", "zoo/a/b.py"}
    write(installed, {"lone.py": "import numpy\n"})
    assert set(sources("lone.Net", ["lone"], [str(installed)])) == {"lone.py"}
    before = digest(installed, "zoo.Net")
    write(installed, {"zoo/a/b.py": "x = 1\n", "numpy/__init__.py": "x = 1\n"})
    assert digest(installed, "zoo.Net") != before


def test_a_compiled_module_is_known_by_its_bytes(place: Path):
    write(place, {"mine/net.py": "from . import fast\n", "mine/fast.abi3.so": "one"})
    before = digest(place)
    assert "mine/fast.abi3.so" in sources("mine.net.Net", ["mine"], [str(place)])
    write(place, {"mine/fast.abi3.so": "two"})
    assert digest(place) != before


def test_source_that_is_no_python_is_known_by_its_text(place: Path):
    write(place, {"mine/net.py": "import helper\nthis is (no Python\n"})
    assert set(sources("mine.net.Net", ["mine"], [str(place)])) == {
        "mine/__init__.py",
        "mine/net.py",
    }


@pytest.mark.parametrize("target", ["absent.net.Net", "absent.Net"])
def test_a_module_that_is_nowhere_is_refused_as_when_it_is_imported(target: str):
    with pytest.raises(UserError) as imported:
        locate(target, ["absent"])
    with pytest.raises(UserError) as found:
        source_digest([target], ["absent"])
    assert str(found.value) == str(imported.value)


def test_a_submodule_that_is_not_there_is_named(place: Path):
    with pytest.raises(UserError, match=r"No module named 'mine\.absent'\); sought on"):
        digest(place, "mine.absent.Net")


def test_a_targets_module_is_found_on_pythons_path_and_not_imported(place: Path):
    code = (
        "import sys; from etude.config.code import sources; "
        "print(*sources('mine.net.Net', ['mine']), 'mine' in sys.modules, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True)
    assert "mine/net.py" in result.stdout
    assert result.stdout.split()[-2:] == ["False", "False"]
