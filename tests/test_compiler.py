"""Steps that are compiled: what is, what a failure leaves behind, and what a run keeps to."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import SMALL, only_run, summary_of
from filelock import FileLock
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.config import build
from etude.train import compiler as module
from etude.train.choices import choose_compiled, choose_eval_batch_size, outlook_of
from etude.train.compiler import Compiler, one_kernel, what_passes_change
from etude.train.step import Eager, Step

CPU = torch.device("cpu")


class Net(nn.Module):
    """Statistics, random numbers and weights: all that a failed attempt could leave changed."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.dropout, self.fc = nn.BatchNorm2d(1), nn.Dropout(0.5), nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.dropout(self.norm(images).flatten(1)))


class Seen:
    """How many images each compiled call was given, by a stand-in for PyTorch's compiler."""

    def __init__(self, fails: str = "") -> None:
        self.sizes: list[int] = []
        self._fails = fails

    def __call__(self, function: Callable[..., Any], **_: object) -> Callable[..., Any]:
        def compiled(*args: Any) -> Any:
            result = function(*args)
            if len(args) > 1:
                self.sizes.append(len(args[1]))
            if self._fails:
                raise RuntimeError(self._fails)
            return result

        return compiled


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    return tmp_path


def batch(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    images = torch.rand(size, 1, 4, 4, generator=generator)
    return images, torch.randint(10, (size,), generator=generator)


def trained(compiler: Compiler | None, *, accumulate: int = 1, sizes: tuple[int, ...] = (8, 8, 3)):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)
    step = Step(
        model, optimizer, scaler=torch.amp.GradScaler("cpu", enabled=False), device=CPU,
        precision="float32", accumulate=accumulate, compiler=compiler,
    )  # fmt: skip
    losses = [step(*batch(size), whole=size == 8).loss for size in sizes]
    state = [value.flatten().float() for value in model.state_dict().values()]
    return torch.cat([torch.stack(losses), *state, torch.rand(3)])


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(("accumulate", "seen"), [(1, [8, 8]), (2, [4] * 4), (3, [3] * 4)])
def test_one_shape_is_compiled_and_the_others_are_done_as_they_are(
    accumulate: int, seen: list[int], monkeypatch: pytest.MonkeyPatch
):
    stand_in = Seen()
    monkeypatch.setattr(torch, "compile", stand_in)
    compiled = trained(Compiler(on=True), accumulate=accumulate)
    assert (
        stand_in.sizes == seen
    )  # of 8 images, and of parts of 4, or 3, 3 and 2; never of the last 3
    assert torch.equal(compiled, trained(None, accumulate=accumulate))


@pytest.mark.usefixtures("cache")
def test_a_run_that_cannot_be_compiled_loses_nothing_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(torch, "compile", Seen("backend='x' raised:\nno C++ compiler was found"))
    compiler = Compiler(on=True)
    assert torch.equal(trained(compiler), trained(None))
    assert not compiler.on
    (line,) = [record.message for record in caplog.records if record.name.startswith("etude")]
    told = "steps are not compiled, which is slower: RuntimeError: no C++ compiler was found"
    assert line == told


@pytest.mark.usefixtures("cache")
def test_a_run_that_was_begun_compiled_does_not_go_on_otherwise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "compile", Seen("no C++ compiler was found"))
    compiler = Compiler(on=False)
    compiler.settle(on=True)
    with pytest.raises(UserError, match=r"begun with its steps compiled.*no C\+\+.*fresh=true"):
        trained(compiler)


def test_what_a_failure_is_about_is_brought_back():
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = torch.get_rng_state()
    bring_back = what_passes_change(model, optimizer, CPU)
    model(batch(4)[0]).sum().backward()
    assert model.norm.num_batches_tracked == 1
    bring_back()
    assert model.norm.num_batches_tracked == 0
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in model.parameters())


# --- a run keeps what it began with ---------------------------------------------------------------
@pytest.mark.parametrize("begun", [True, False])
def test_a_resume_keeps_what_the_checkpoint_says(
    begun: bool, etude: Callable[..., int], monkeypatch: pytest.MonkeyPatch, workplace: Path
):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(workplace))
    stand_in, chosen, steps = Seen(), [begun], [0]
    monkeypatch.setattr(torch, "compile", stand_in)
    monkeypatch.setattr("etude.train.builders.choose_compiled", lambda *_: chosen[0])
    advance = Eager.advance

    def fails(self: Eager, state: Any) -> None:
        steps[0] += 1
        if steps[0] == 6:
            raise ZeroDivisionError
        advance(self, state)

    monkeypatch.setattr(Eager, "advance", fails)
    words = [*SMALL, "train.batch_size=16", "train.checkpoint_steps=2"]
    assert etude(*words) != 0
    assert bool(stand_in.sizes) is begun
    chosen[0], stand_in.sizes = not begun, []
    assert etude(*words) == 0
    assert bool(stand_in.sizes) is begun
    assert summary_of(only_run(workplace))["compiled"] is begun


# --- the choice -----------------------------------------------------------------------------------
CHOSEN = {  # worth it? predicted from 60,000 or 50,000 images
    "experiment=lenet5_mnist": False,
    "experiment=lenet5_mnist train.epochs=2000": True,
    "experiment=vgg11_mnist": False,
    "experiment=vgg11_mnist scale=10": True,
    "experiment=vgg19_cifar10": True,
    "experiment=resnet20_cifar10": True,
    "experiment=resnet20_cifar10 scale=0.1": False,
}


def data_of(config: Any, words: str) -> Any:
    """Give as much of a data set as the choice looks at."""
    grey = "mnist" in words
    part = {n: SimpleNamespace(images=None, labels=range(n)) for n in (60_000, 50_000, 10_000)}
    return SimpleNamespace(
        train=part[60_000 if grey else 50_000],
        validation=None,
        test=part[10_000],
        classes=tuple("0123456789"),
        channels=1 if grey else 3,
        size=config.dataset.input_size or (28 if grey else 32),
    )


@pytest.mark.parametrize("words", CHOSEN)
def test_auto_compiles_where_it_is_predicted_to_save_time(composer: Any, words: str):
    (job,) = composer.run([*words.split(), "dataset.download=true"]).jobs
    config = job.config
    optimizer = build(
        config.optimizer, [], params=list(Net().parameters()), fused=True, capturable=True
    )
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    data = data_of(config, words)
    chosen = choose_compiled(config, data, torch.device("cuda"), optimizer, scaler)
    assert chosen is CHOSEN[words]
    assert not choose_compiled(config, data, CPU, optimizer, scaler)
    scaled = torch.amp.GradScaler("cpu", enabled=True)  # cannot be captured
    assert not choose_compiled(config, data, torch.device("cuda"), optimizer, scaled)


@pytest.mark.parametrize("step", ["auto", "eager"])
@pytest.mark.parametrize("given", ["true", "false"])
def test_a_choice_that_is_given_is_taken(composer: Any, step: str, given: str):
    (job,) = composer.run([f"train.step={step}", f"train.compile={given}"]).jobs
    rest: Any = (data_of(job.config, ""), CPU, None, None)
    assert choose_compiled(job.config, *rest) is (given == "true")


def test_what_step_compile_is_now_is_told(composer: Any):
    with pytest.raises(UserError, match=r"train\.step=compile is now train\.compile=true"):
        composer.run(["train.step=compile"])


def test_a_choice_is_in_the_fingerprint_but_for_the_default(composer: Any):
    words = [[], ["train.compile=auto"], ["train.compile=true"], ["train.compile='true'"]]
    (usual, auto, on, text) = [composer.run(w).jobs[0].identity.fingerprint for w in words]
    assert usual == auto != on == text


@pytest.mark.parametrize(
    ("words", "images"),
    [("experiment=vgg19_cifar10", 675), ("experiment=lenet5_mnist", 390), ("model=lenet5", 256)],
)
def test_as_many_images_are_evaluated_as_memory_is_there_for(
    composer: Any, words: str, images: int
):
    (job,) = composer.run([words, "dataset.download=true"][: 1 + ("experiment" in words)]).jobs
    data = data_of(job.config, words)
    device = torch.device("cuda" if "experiment" in words else "cpu")
    assert choose_eval_batch_size(job.config, data, device) == images
    assert choose_eval_batch_size(job.config, data, CPU) == 256


def test_an_evaluation_holds_no_more_than_a_step(composer: Any):
    (job,) = composer.run(["experiment=resnet20_cifar10", "dataset.download=true"]).jobs
    outlook = outlook_of(job.config, channels=3, classes=10, size=32)
    assert outlook is not None
    assert outlook.evaluated(100) == 100  # no more than there are
    assert outlook._replace(batch_size=1).evaluated(10_000) < outlook.evaluated(10_000)


# --- many processes -------------------------------------------------------------------------------
def test_processes_that_need_the_same_wait_for_the_first(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, logger="etude")
    monkeypatch.setattr(torch, "compile", Seen())
    compiler = Compiler(on=True)
    order: list[str] = []

    def second() -> None:
        def done() -> None:
            order.append("second")

        compiler.attempt("passes-abc", done, done, keep=lambda: lambda: None)

    with FileLock(cache / "lock-passes-abc"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert "another process compiles the same; waiting for it" in caplog.messages


def test_what_is_compiled_is_kept_for_all_runs_of_a_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path))
    module.use_cache()
    assert module.os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled")
    assert (tmp_path / "compiled").is_dir()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    module.use_cache()
    assert module.os.environ["TORCHINDUCTOR_CACHE_DIR"] == "elsewhere"


# --- for real -------------------------------------------------------------------------------------
COMPILED = {
    "torch.optim.Adadelta": {"lr": 1.0},
    "torch.optim.RMSprop": {"lr": 0.01, "momentum": 0.9},
    "etude.train.optim.tensorflow.TensorFlowRMSprop": {"lr": 0.01},
}
FUSED = {
    "torch.optim.SGD": {"lr": 0.1, "momentum": 0.9},
    "torch.optim.Adam": {"lr": 0.01},
    "etude.train.optim.keras.KerasSGD": {"lr": 0.1, "momentum": 0.9},
    "etude.train.optim.keras.KerasAdam": {"lr": 0.01},
}


def updated(target: str, *, compiled: bool) -> Tensor:
    """Do six steps, the last one of a smaller batch, the rate on the device where compiled."""
    model = Net()
    options = {**COMPILED, **FUSED}[target]
    optimizer = build({"_target_": target, **options}, params=list(model.parameters()), fused=True)
    (group,) = optimizer.param_groups
    lr = group["lr"]
    compiler = Compiler(on=compiled)
    step = Step(
        model, optimizer, scaler=torch.amp.GradScaler("cpu", enabled=False), device=CPU,
        precision="float32", compiler=compiler,
    )  # fmt: skip
    rate = torch.zeros(())
    torch.manual_seed(3)
    model.dropout.p = 0.0
    for i, size in enumerate((8, 8, 8, 8, 8, 3)):
        rate.fill_(lr / (1 + i))
        # PyTorch's own take a rate in a tensor on a CPU where they are compiled, and nowhere else.
        follows = compiled and 0 < i < 5 and not one_kernel(optimizer)
        if "capturable" in group and not one_kernel(optimizer):
            group["capturable"] = follows
        group["lr"] = rate if follows else lr / (1 + i)
        step(*batch(size), whole=size == 8)
    assert compiler.on is compiled
    return nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("target", COMPILED | FUSED)
def test_compiled_steps_agree_with_eager_ones(target: str, monkeypatch: pytest.MonkeyPatch):
    done: list[str] = []
    attempt = Compiler.attempt

    def noted(self: Compiler, name: str, *args: Any, **how: Any) -> Any:
        done.append(name.partition("-")[0])
        return attempt(self, name, *args, **how)

    expected = updated(target, compiled=False)
    monkeypatch.setattr(Compiler, "attempt", noted)
    torch.testing.assert_close(updated(target, compiled=True), expected, rtol=1e-4, atol=1e-5)
    assert done.count("passes") == 5
    assert done.count("update") == (4 if target in COMPILED else 0)
