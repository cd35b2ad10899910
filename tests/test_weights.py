import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import SMALL, only_run, summary_of
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models

import etude as package
from etude.base.errors import UserError
from etude.base.identity import as_weights
from etude.models.lenet import LeNet5
from etude.models.vgg import VGG
from etude.train.init import GlorotUniform
from etude.train.layers import Mismatch
from etude.train.weights import BEST, WeightsSource, check, content, find, load
from etude.train.weights_file import read

Etude = Callable[..., int]

TINY = {"input_size": 32, "width": 0.05, "hidden": 16}
TINY_VGG = ["model=vgg_mnist", "model.width=0.05", "model.hidden=16", "dataset.input_size=32"]
NORMS = 16 + 2  # of VGG-19 with batch norm, the classifier's included


def wanted(weights: str | Path | None, **others) -> WeightsSource:
    weights = None if weights is None else str(weights)
    return WeightsSource.of({"weights": weights, "download": False, **others})


def tiny(variant: str, *, seed: int = 0, num_classes: int = 10, **settings) -> VGG:
    model = VGG(3, num_classes, variant=variant, **{**TINY, **settings})
    GlorotUniform()(model, seed=seed)
    return model


def as_torchvision_has_it(model: VGG) -> dict[str, torch.Tensor]:
    """The same weights under torchvision's names."""
    state = model.state_dict()
    return {
        f"{theirs}.{name}": state[f"{ours}.{name}"]
        for ours, theirs in model.torchvision_layers.items()
        for name in ("weight", "bias")
    }


def warm_start() -> dict[str, str]:
    conf = Path(package.__file__).parents[2] / "conf" / "init" / "from_a.yaml"
    return dict(OmegaConf.load(conf).weights_names)


def same(one: nn.Module, other: nn.Module, layer: str) -> bool:
    return torch.equal(one.get_submodule(layer).weight, other.get_submodule(layer).weight)


# --- what is loaded, and what is left --------------------------------------------------------
@pytest.mark.slow  # 144 million weights, written twice
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvisions_vgg19_reaches_the_17_layers_of_document_004(tmp_path: Path, suffix: str):
    theirs = models.vgg19(init_weights=False)
    path = tmp_path / f"vgg19{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(theirs.state_dict(), path)
    model = VGG(3, 10, variant="E", input_size=32, batch_norm=True, head_batch_norm=True)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    report = load(model, wanted("imagenet", weights_file=str(path)))

    convolutions = [name for name in model.torchvision_layers if ".conv" in name]
    assert len(convolutions) == 16
    assert report.loaded == [*convolutions, "classifier.fc2"]
    for layer in report.loaded:
        their_layer = theirs.get_submodule(model.torchvision_layers[layer])
        assert torch.equal(model.get_submodule(layer).weight, their_layer.weight)
        assert torch.equal(model.get_submodule(layer).bias, their_layer.bias)
    assert len(report.fresh) == 2 + NORMS + 1
    for key, value in model.state_dict().items():
        if key.rpartition(".")[0] in report.fresh:
            assert torch.equal(value, before[key])
    assert report.mismatched == [
        Mismatch("classifier.fc1", (4096, 512), (4096, 25088)),
        Mismatch("classifier.fc3", (10, 4096), (1000, 4096)),
    ]


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_imagenet_matches_layers_by_stage_and_index(tmp_path: Path, suffix: str):
    source = tiny("D", seed=1)
    path = tmp_path / f"vgg16{suffix}"
    state = as_torchvision_has_it(source)
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    model = tiny("D", batch_norm=True, num_classes=7)
    report = load(model, wanted("imagenet", weights_file=str(path)))
    assert len(report.loaded) == 15
    assert all(same(model, source, layer) for layer in report.loaded)
    assert [mismatch.layer for mismatch in report.mismatched] == ["classifier.fc3"]
    assert all("norm" in layer for layer in report.fresh if layer != "classifier.fc3")


def test_the_one_by_one_convolutions_of_c_stay_fresh(tmp_path: Path):
    torch.save(as_torchvision_has_it(tiny("D", seed=1)), tmp_path / "vgg16.pth")
    report = load(tiny("C"), wanted("imagenet", weights_file=str(tmp_path / "vgg16.pth")))
    assert [mismatch.layer for mismatch in report.mismatched] == [
        f"features.stage{stage}.conv3" for stage in (3, 4, 5)
    ]
    assert len(report.loaded) == 10 + 3


def test_without_a_mapping_layers_of_the_same_name_are_loaded_where_they_fit(tmp_path: Path):
    source = tiny("E", seed=1, batch_norm=True)
    source.features.stage1.norm1.running_mean.fill_(3)
    save_file(source.state_dict(), tmp_path / "e.safetensors")
    model = tiny("E", batch_norm=True, hidden=8)
    report = load(model, wanted(tmp_path / "e.safetensors"))
    assert same(model, source, "features.stage5.conv4")
    assert torch.equal(
        model.features.stage1.norm1.running_mean, source.features.stage1.norm1.running_mean
    )
    assert all(layer.startswith("classifier") for layer in report.fresh)
    assert set(report.fresh) == {mismatch.layer for mismatch in report.mismatched}


@pytest.mark.parametrize("variant", ["B", "C", "D", "E"])
def test_a_deeper_net_begins_with_four_convolutions_and_the_classifier_of_a(
    tmp_path: Path, variant: str
):
    source, model, untouched = tiny("A", seed=1), tiny(variant), tiny(variant)
    save_file(source.state_dict(), tmp_path / BEST)
    report = load(model, wanted(tmp_path, weights_names=warm_start()))
    assert report.loaded == [
        "features.stage1.conv1", "features.stage2.conv1", "features.stage3.conv1",
        "features.stage3.conv2", "classifier.fc1", "classifier.fc2", "classifier.fc3",
    ]  # fmt: skip
    assert all(same(model, source, layer) for layer in report.loaded)
    assert all(same(model, untouched, layer) for layer in report.fresh)


def test_a_mapping_may_lead_to_a_layer_of_another_name(tmp_path: Path):
    source, model = tiny("D", seed=1), tiny("A")
    torch.save(as_torchvision_has_it(source), tmp_path / "file.pth")
    names = {"features.stage3.conv1": "features.10"}
    report = load(model, wanted(tmp_path / "file.pth", weights_names=names))
    assert report.loaded == ["features.stage3.conv1"]
    assert same(model, source, "features.stage3.conv1")


def test_nothing_is_loaded_unless_asked_for():
    assert load(tiny("A"), wanted(None)) is None


# --- what is refused -------------------------------------------------------------------------
def test_a_mapping_to_a_layer_of_another_shape_names_both_shapes(tmp_path: Path):
    torch.save(tiny("A").state_dict(), tmp_path / "a.pth")
    names = {"features.stage3.conv1": "features.stage2.conv1"}
    with pytest.raises(UserError, match=r"stage3\.conv1 is 13×6×3×3 here and 6×3×3×3 there"):
        load(tiny("A"), wanted(tmp_path / "a.pth", weights_names=names))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"features.stage9.conv1": "features.stage1.conv1"}, "VGG has no layer features.stage9"),
        ({"features.stage1.conv1": "conv_one"}, "there is no layer conv_one"),
    ],
)
def test_a_mapping_from_or_to_no_layer_is_refused(tmp_path: Path, names, said: str):
    torch.save(tiny("A").state_dict(), tmp_path / "a.pth")
    with pytest.raises(UserError, match=said):
        load(tiny("A"), wanted(tmp_path / "a.pth", weights_names=names))


def test_a_file_of_which_nothing_fits_is_refused(tmp_path: Path):
    torch.save(LeNet5(1, 10, input_size=28).state_dict(), tmp_path / "lenet.pth")
    with pytest.raises(UserError, match=r"no layer of .* fits VGG"):
        load(tiny("A"), wanted(tmp_path / "lenet.pth"))


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("owned",)


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.safetensors"])
def test_a_malicious_pickle_is_refused_and_not_run(workplace: Path, name: str):
    torch.save({"features.stage1.conv1.weight": Malicious()}, workplace / name)
    with pytest.raises(UserError, match=f"{name} cannot be read as weights"):
        load(tiny("A"), wanted(workplace / name))
    assert not (workplace / "owned").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda t: t * math.nan, "is not a number"), (lambda t: t.long(), "no weight, but of int64"),
     (lambda t: t.to(torch.complex64), "no weight, but of complex64")],
)  # fmt: skip
def test_what_fits_by_its_shape_and_is_no_weight_is_refused(tmp_path: Path, change, said: str):
    state = {name: change(tensor) for name, tensor in tiny("A").state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(UserError, match=said):
        load(tiny("A"), wanted(tmp_path / "a.pth"))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "no file that"), (b"hello", "no file that"), (None, "objects, whose code would run")],
)
def test_why_a_file_is_not_read_is_said_in_our_words(tmp_path: Path, content, said: str):
    path = tmp_path / "a.pth"
    if content is None:
        torch.save({"net": torch.nn.Linear(1, 1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        read(path)


def test_what_is_no_mapping_of_tensors_is_refused(tmp_path: Path):
    torch.save({"epoch": 3, "state": {"a": torch.zeros(1)}}, tmp_path / "checkpoint.pth")
    with pytest.raises(UserError, match="not a mapping from names to tensors"):
        read(tmp_path / "checkpoint.pth")


def test_a_network_that_torchvision_does_not_have_is_refused(tmp_path: Path):
    (tmp_path / "x.pth").touch()
    with pytest.raises(UserError, match="torchvision has no weights for LeNet5"):
        check(LeNet5(1, 10, input_size=28), wanted("imagenet", weights_file=tmp_path / "x.pth"))


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a proxy that nobody answers at; gives where torch.hub keeps weights."""
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.mark.parametrize(("download", "said"), [(False, "set init.download=true"),
                                               (True, "could not fetch")])  # fmt: skip
def test_without_the_file_the_refusal_names_its_address_its_place_and_the_way_out(
    no_network: Path, download: bool, said: str
):
    with pytest.raises(UserError) as error:
        load(tiny("E"), wanted("imagenet", download=download))
    text = str(error.value)
    for part in (
        said,
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        str(no_network),
        "init.weights_file=<path>",
    ):
        assert part in text


def test_torchvisions_file_is_taken_from_the_cache_of_torch_hub(no_network: Path):
    source, model = tiny("E", seed=1), tiny("E")
    no_network.mkdir(parents=True)
    torch.save(as_torchvision_has_it(source), no_network / "vgg19-dcbb9e9d.pth")
    assert len(load(model, wanted("imagenet")).loaded) == 19
    assert same(model, source, "classifier.fc3")


# --- through the command ---------------------------------------------------------------------
REFUSED = [
    ("init.weights=nowhere", ["init.weights=nowhere", "run's folder or a file"]),
    ("init.weights=.", ["best.safetensors", "let that run finish"]),
    ("init.weights=imagenet", ["torchvision has no weights for LeNet5"]),
    ("init.weights=imagenet init.weights_file=no.pth", ["init.weights_file=no.pth"]),
    ("init.weights=. init.weights_file=no.pth", ["must be imagenet"]),
    ("init.weights_file=no.pth", ["init.weights_file needs init.weights"]),
    ("init=from_a", ["init.weights_names needs init.weights"]),
    ("init.weights=imagenet init.weights_names={conv1:a}", ["LeNet5 has no layer conv1"]),
    ("init.weights_names=3", ["init.weights_names=3", "{our layer: the file's layer}"]),
    ("model=vgg_imagenet dataset.input_size=32 init.weights=imagenet", ["vgg16-397923af.pth"]),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_weights_that_are_not_at_hand_are_refused_before_anything_starts(
    etude: Etude,
    no_network: Path,
    workplace: Path,
    capsys: pytest.CaptureFixture[str],
    words: str,
    said: list[str],
):
    assert etude(*words.split()) == 2
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1
    assert all(part in errors for part in said)
    assert list(workplace.iterdir()) == []


def test_a_deeper_net_takes_over_the_weights_of_a_run_of_a(etude: Etude, workplace: Path):
    assert etude(*SMALL, *TINY_VGG, "name=a") == 0
    a = only_run(workplace)
    weights = f"init.weights='{a.relative_to(workplace)}'"
    words = [*SMALL, *TINY_VGG, "model.variant=B", "name=b", "train.epochs=1"]
    assert etude(*words, "init=from_a", weights) == 0
    (b,) = workplace.glob("outputs/b/*")
    summary = summary_of(b)
    assert sorted(summary["weights"]["loaded"]) == sorted(warm_start())
    assert "features.stage1.conv2" in summary["weights"]["fresh"]
    assert summary["weights"]["mismatched"] == []
    log = (b / "run.log").read_text()
    assert "weights: 7 layers loaded, 6 fresh" in log
    assert "loaded: features.stage1.conv1, " in log
    begun = summary["hyperparameters"]["init.weights"]
    assert begun == as_weights(summary_of(a)["hyperparameters"], a.name[-8:])


def test_a_run_begins_exactly_with_the_weights_it_was_given(etude: Etude, workplace: Path):
    assert etude(*SMALL, *TINY_VGG, "precision=float32", "name=a") == 0
    source = load_file(only_run(workplace) / BEST)
    weights = f"init.weights='{only_run(workplace).relative_to(workplace)}'"
    # A rate too small to change a float32: the weights at the end are those of the beginning.
    words = ["name=b", "optimizer=sgd", "optimizer.lr=1e-30", "train.epochs=1"]
    assert etude(*SMALL, *TINY_VGG, *words, "precision=float32", weights) == 0
    (b,) = workplace.glob("outputs/b/*")
    assert summary_of(b)["weights"]["fresh"] == []
    assert all(torch.equal(source[key], value) for key, value in load_file(b / BEST).items())


def test_runs_with_and_without_weights_have_different_folders(etude: Etude, workplace: Path):
    torch.save(LeNet5(1, 10, input_size=28).state_dict(), workplace / "lenet.pth")
    words = [*SMALL, "train.epochs=1"]
    assert etude(*words) == 0
    assert summary_of(only_run(workplace))["weights"] is None
    assert etude(*words, "init.weights=lenet.pth") == 0
    assert len(list(workplace.glob("outputs/*/*/summary.json"))) == 2


# --- what weights are, wherever they lie -----------------------------------------------------
@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of weights; what it holds is not looked into."""
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "one.pth").write_bytes(b"some weights")
    return tmp_path / "one.pth"


def made(folder: Path, summary: str) -> Path:
    folder.mkdir()
    (folder / BEST).write_bytes(b"the best")
    (folder / "summary.json").write_text(summary)
    return folder


def test_weights_that_are_not_wanted_and_published_ones_need_no_file():
    assert content(wanted(None), {}) is None
    assert content(wanted("imagenet"), {}) == "imagenet"


def test_a_file_of_weights_is_known_by_its_content_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    one = content(wanted(file), {})
    copy = file.with_name("copy.pth")
    copy.write_bytes(file.read_bytes())
    monkeypatch.chdir(file.parent)
    assert content(wanted("one.pth"), {}) == content(wanted(copy), {}) == one
    assert content(wanted("imagenet", weights_file=str(copy)), {}) == one
    copy.write_bytes(b"other")
    assert content(wanted(copy), {}) != one


def test_a_runs_folder_is_known_by_its_fingerprint(tmp_path: Path, file: Path):
    decisive = {"seed": 3, "optimizer.lr": 0.1}
    score = {"test_accuracy": 0.5}
    facts = {"name": "run", "state": "finished", "fingerprint": "0123abcd"}
    results = {"hyperparameters": decisive, "final": score, "best": score}
    run = made(tmp_path / "run", json.dumps({**facts, **results}))
    named = as_weights(decisive, "0123abcd")
    assert named.endswith("_seed=3-0123abcd")
    assert content(wanted(run), {}) == named
    assert content(wanted(run.rename(tmp_path / "moved")), {}) == named


def test_weights_of_another_run_in_a_runs_folder_are_refused(tmp_path: Path):
    score = {"test_accuracy": 0.5}
    facts = {"name": "run", "state": "finished", "fingerprint": "0123abcd", "hyperparameters": {}}
    run = made(tmp_path / "run", json.dumps({**facts, "final": score, "best": score}))
    for owner in ("0123abcd", "89abcdef"):
        save_file(
            {"w": torch.ones(1)}, run / "best.safetensors", metadata={"run": f"{owner}, epoch 2"}
        )
        if owner == "0123abcd":
            assert find(wanted(run)) == run / "best.safetensors"
    with pytest.raises(UserError, match="has the weights of run 89abcdef"):
        find(wanted(run))


def test_a_run_that_is_still_to_be_made_is_known_by_the_fingerprint_that_it_will_have(
    workplace: Path,
):
    runs = {str(workplace / "outputs" / "a"): "run:01234567_seed=0-89abcdef"}
    for path in ("outputs/a", "outputs/b/../a/", workplace / "outputs" / "a"):
        assert content(wanted(path), runs) == "run:01234567_seed=0-89abcdef"


def test_a_folder_without_a_readable_summary_is_known_by_its_best_weights(
    tmp_path: Path, file: Path
):
    run = made(tmp_path / "run", "")
    assert content(wanted(run), {}) == content(wanted(run / BEST), {})


def test_weights_that_are_nowhere_have_no_content_and_are_refused_as_when_sought(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"there is no .*best\.safetensors; let that run finish"):
        content(wanted(tmp_path / "empty"), {})
    with pytest.raises(UserError, match="give a run's folder or a file of weights"):
        content(wanted(tmp_path / "absent"), {str(tmp_path / "other"): "01234567"})


def test_a_run_that_diverged_is_not_waited_for(tmp_path: Path):
    told = {"state": "failed", "error": "Diverged: the loss became nan", "fingerprint": "89abcdef"}
    (tmp_path / "summary.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="that run diverged, so give another one"):
        find(wanted(tmp_path))
