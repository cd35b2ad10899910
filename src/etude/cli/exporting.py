"""A run's network as one file that needs no Étude: its preparation inside, its answers checked."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from etude.base.atomic import replacing, write_text
from etude.base.errors import UserError
from etude.base.lazy import safetensors
from etude.base.text import counted
from etude.cli.inference import Trained
from etude.cli.load import Learned, Weights
from etude.data.augment.gather import central
from etude.data.preparation import Preparation
from etude.models.auxiliary import main_logits
from etude.runs.names import INFERENCE
from etude.runs.records import read_summary
from etude.train.test_time_views import MeanOfViews
from etude.train.weights_file import write

ENDINGS = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
_EXAMPLES = 8  # images without meaning that an export is checked on besides
_CLOSE = 1e-4  # of probabilities: other kernels, and another order of sums
Answer = Callable[[Tensor], Tensor]


class _Job(NamedTuple):
    """What is exported, and pixels that it is tried on."""

    trained: Trained
    summary: Mapping[str, Any]
    whole: Whole
    pixels: Tensor


class Whole(nn.Module):
    """From pixels to probabilities: normalisation, the middle or the views, network, softmax.

    Args:
        network: In evaluation mode.
        preparation: Of its images.
    """

    def __init__(self, network: nn.Module, preparation: Preparation) -> None:
        super().__init__()
        normalize = preparation.normalize
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", normalize.scale.clone())
        self.register_buffer("shift", normalize.shift.clone())
        self.reverse, self.seen = normalize.reverse_channels, preparation.seen
        views = preparation.views
        self.network = MeanOfViews(network, count=views, size=self.seen) if views > 1 else network
        self.cuts = views == 1

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels (N, C, kept, kept) uint8 to probabilities (N, classes)."""
        inputs = pixels.float()
        if self.reverse:
            inputs = inputs.flip(1)
        inputs = inputs * self.scale + self.shift
        if self.cuts:
            inputs = central(inputs, self.seen)
        return main_logits(self.network(inputs)).softmax(1)


def export(
    run: Path,
    form: str,
    output: Path | None,
    checked_on: Sequence[str],
    weights: Weights,
    packages: Sequence[str],
) -> tuple[Path, Mapping[str, Any]]:
    """Write a run's network as one file, with a card beside it, once its answers are the run's own.

    Args:
        run: Its folder.
        form: Of `ENDINGS`.
        output: The file; None puts it into the run's folder.
        checked_on: Image files that it must answer alike, besides some made-up ones.
        weights: See `etude.load`.
        packages: See `etude.load`.

    Returns:
        The file, and what was compared.

    Raises:
        UserError: Something is missing, or the answers differ.
    """
    trained, summary = Trained.of(run, weights, packages), read_summary(run) or {}
    file = output or run / f"model{ENDINGS[form]}"
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = Whole(trained.network, trained.preparation).eval()
    pixels = _pixels(trained.preparation, checked_on)
    with replacing(file) as temporary:
        answer = _WRITERS[form](_Job(trained, summary, whole, pixels), temporary)
        compared = _compare(whole, answer, pixels)
    learned = trained.learned._asdict()
    card = card_of(file)
    told = {"format": form, "file": str(file), "card": str(card), "weights": weights, **learned,
            **compared}  # fmt: skip
    write_text(card, _card(run, trained, summary, told))
    return file, told


def card_of(file: Path) -> Path:
    """Name the card beside a file; no other file of that name has one, such as a README."""
    return file.with_name(f"{file.name}.md")


def _pixels(prepared: Preparation, files: Sequence[str]) -> Tensor:
    shape = (_EXAMPLES, prepared.channels, prepared.kept, prepared.kept)
    generator = torch.Generator().manual_seed(0)
    made = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    return torch.cat([made, prepared.pixels(files)]) if files else made


def _compare(whole: Whole, answer: Answer, pixels: Tensor) -> Mapping[str, Any]:
    """Hold the file's answers against the run's own.

    Raises:
        UserError: They differ.
    """
    with torch.inference_mode():
        ours = torch.cat([whole(part) for part in pixels.split(_EXAMPLES)])
    theirs = torch.cat([answer(part) for part in pixels.split(_EXAMPLES)])
    same = int((ours.argmax(1) == theirs.argmax(1)).sum())
    apart = float((ours - theirs).abs().max())
    if same < len(pixels) or apart > _CLOSE:
        raise UserError(
            f"the exported network tells {len(pixels) - same} of "
            f"{counted(len(pixels), 'image')} otherwise than the run's own, "
            f"and its probabilities differ by {apart:.2g}: it is not kept"
        )
    return {"images": len(pixels), "same_top_1": same, "largest_difference": apart}


def _to_torch(job: _Job, file: Path) -> Answer:
    shapes = {"pixels": {0: torch.export.Dim("batch")}}
    program = torch.export.export(job.whole, (job.pixels[:2],), dynamic_shapes=shapes)
    extra = {INFERENCE: _prepared(job)}
    with file.open("wb") as stream:
        torch.export.save(program, stream, extra_files=extra)
    with file.open("rb") as stream, warnings.catch_warnings():
        # PyTorch 2.11 warns of the buffer that it reads the weights from itself.
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        read_back = torch.export.load(stream).module()
    return lambda part: read_back(part).detach()


def _to_onnx(job: _Job, file: Path) -> Answer:
    onnx, onnxruntime = import_module("onnx"), import_module("onnxruntime")
    with warnings.catch_warnings(action="ignore"):  # of what the exporter leaves behind
        program = torch.onnx.export(
            job.whole, (job.pixels[:2],), dynamo=True, input_names=["pixels"], verbose=False,
            output_names=["probabilities"], dynamic_shapes={"pixels": {0: "batch"}},
        )  # fmt: skip
    model = program.model_proto  # type: ignore[union-attr]
    onnx.helper.set_model_props(model, {"inference": _prepared(job)})
    file.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda part: torch.from_numpy(session.run(None, {"pixels": part.numpy()})[0])


def _to_safetensors(job: _Job, file: Path) -> Answer:
    network, prepared = job.trained.network, job.trained.preparation
    told = {"run": job.summary.get("fingerprint"), "epoch": job.trained.learned.epochs,
            "inference": prepared.plain()}  # fmt: skip
    write(network.state_dict(), told, file)
    whole = Whole(deepcopy(network), prepared).eval()
    network = whole.network.network if isinstance(whole.network, MeanOfViews) else whole.network
    network.load_state_dict(safetensors.torch.load(file.read_bytes()))
    return lambda part: whole(part).detach()


def _prepared(job: _Job) -> str:
    return json.dumps(job.trained.preparation.plain(), ensure_ascii=False)


_WRITERS = {"onnx": _to_onnx, "torch": _to_torch, "safetensors": _to_safetensors}


def _card(run: Path, trained: Trained, summary: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """Say what a network is, and how it is used."""
    prepared, data = trained.preparation, summary.get("data", {})
    model = summary.get("hyperparameters", {}).get("model._target_", "network")
    takes = f"(N, {prepared.channels}, {prepared.kept}, {prepared.kept})"
    order = {3: "RGB", 1: "grey"}.get(prepared.channels, "")
    inside = (
        f"It takes pixels {takes} uint8, {order}, 0 to 255, and gives probabilities "
        f"(N, {len(prepared.classes)}); normalisation is inside."
    )
    if told["format"] == "safetensors":
        inside = f"The weights of {model}; the file's header says what becomes of an image first."
    return f"""# {summary.get("name", run.name)}

{model}, run {summary.get("fingerprint", "?")}, {told["weights"]} weights ({trained.learned}),
exported as {told["format"]}. {inside}

- an image file becomes {prepared.words()}
- classes, in the order of the answers: {", ".join(prepared.classes)}
- test accuracy {_accuracy(summary, trained.learned)}; test images: {data.get("test", "?")}
- checked on {counted(told["images"], "image")}: the same top-1 on {told["same_top_1"]},
  probabilities within {told["largest_difference"]:.2g}
- data set {data.get("digest", "?")}, seed {summary.get("seed", "?")},
  {summary.get("parameters", {}).get("total", 0):,} parameters
"""


def _accuracy(summary: Mapping[str, Any], learned: Learned) -> str:
    """Give what weights came to on the test split, if they are those that the run tested."""
    tested = (summary.get(which, {}) for which in ("best", "final"))
    found = [t for t in tested if learned.steps == 0 and t.get("epoch") == learned.epochs]
    return f"{found[0]['test_accuracy']:.4f}" if found else "not measured (etude-eval measures it)"
