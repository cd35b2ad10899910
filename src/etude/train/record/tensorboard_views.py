"""What TensorBoard shows of a run beside its numbers; each part is a switch of `record`.

Everything is made between two epochs or at the end, from what the run holds anyway. Nothing draws
from the random numbers of the training or changes its network.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from etude.config.schema import Record
from etude.data.batch import Batch
from etude.train.loop import Display, Plan
from etude.train.record.answers import Answers, Collector, penultimate
from etude.train.record.events import Events
from etude.train.record.gradients import gradients, norm
from etude.train.record.pictures import matrix, sheet
from etude.train.record.view import View
from etude.train.state import State

_SHEET = 64  # images
_POINTS = 1000  # embedded images


class Views(View):
    """Write the epochs' numbers, and what is switched on.

    Args:
        events: Where to.
        record: The switches.
        plan: The images, and how the network is run.
        classes: Names, in the order of the labels.
        sizes: Images of each part that a batch is computed in.
    """

    def __init__(
        self,
        events: Events,
        record: Record,
        plan: Plan,
        classes: Sequence[str],
        sizes: Sequence[int],
    ) -> None:
        self._events, self._record, self._plan, self._classes = events, record, plan, classes
        self._sizes = list(sizes)
        if record.predictions or record.pr_curves:
            self.collector = Collector(_SHEET)
        self._profile: Profile | None = None
        self._images: Batch | None = None
        self._behind: tuple[nn.Module, Tensor] | None = None

    def begin(self, state: State) -> None:
        """Show the network and the images that it will learn from."""
        if state.global_step:
            return  # a run that goes on has shown them
        if self._record.graph:
            self._graph(state)
        if self._record.augmented:
            images, labels = self._batch(state.device)
            captions = [str(self._classes[label]) for label in labels[:_SHEET].tolist()]
            picture = sheet(images[:_SHEET].cpu(), captions)
            self._events.add("image", "train/augmented", picture, 0, dataformats="HWC")

    def watched(self, display: Display, folder: Path) -> Display:
        """Have the display's steps profiled, where that is switched on."""
        if not self._record.profile:
            return display
        self._profile = Profile(display, folder / "trace.json")
        return self._profile

    def close(self) -> None:
        """End what is still under way, whatever has ended the run."""
        if self._profile is not None:
            self._profile.close()

    def scalars(self, row: Mapping[str, Any]) -> None:
        """Show an epoch's numbers."""
        self._events.epoch(row)

    def epoch(self, state: State) -> None:
        """Show weights and gradients after an epoch."""
        if self._profile is not None:
            self._profile.close()  # an epoch may have fewer steps than are profiled
        record, epoch = self._record, state.epoch
        if not record.gradients:
            return
        weights = {n: p.detach() for n, p in state.model.named_parameters()}
        model, batch = self._asked(state)
        found = gradients(
            model,
            batch,
            precision=self._plan.precision,
            label_smoothing=self._plan.label_smoothing,
            sizes=self._sizes,
        )
        for kind, tensors in (("weights", weights), ("gradients", found)):
            if record.norms:
                self._events.add("scalar", f"norm/{kind}", norm(list(tensors.values())), epoch)
            if record.histograms:
                for name, tensor in tensors.items():
                    self._events.add("histogram", f"{kind}/{name}", tensor.float().cpu(), epoch)

    def finish(self, state: State, epoch: int, counts: Tensor | None) -> None:
        """Show what the best weights, now in the model, make of the test split.

        Args:
            state: Holds the model.
            epoch: The one whose weights these are.
            counts: The confusion matrix; None where it was not asked for.
        """
        if counts is not None:
            picture = matrix(counts, self._classes)
            self._events.add("image", "test/confusion", picture, epoch, dataformats="HWC")
        if self.collector is not None:
            self._answers(self.collector.answers(), epoch)
        if self._record.embeddings:
            self._embed(state, epoch)

    def _answers(self, answers: Answers, epoch: int) -> None:
        if self._record.predictions:
            pairs = zip(answers.classes.tolist(), answers.taken.tolist(), strict=True)
            captions = [f"{self._classes[true]} → {self._classes[said]}" for true, said in pairs]
            picture = sheet(answers.wrong, captions)
            self._events.add("image", "test/wrong", picture, epoch, dataformats="HWC")
        if self._record.pr_curves:
            for index, name in enumerate(self._classes):
                truth, said = answers.labels == index, answers.probabilities[:, index]
                self._events.add("pr_curve", f"test/{name}", truth, said, epoch)

    def _embed(self, state: State, epoch: int) -> None:
        plan = self._plan
        tested = plan.tested(state.evaluated)
        features, labels, images = penultimate(
            tested, plan.test, state.device, precision=plan.precision, limit=_POINTS
        )
        names = [self._classes[label] for label in labels.tolist()]
        low, high = images.min(), images.max()
        pictures = (images - low) / (high - low).clamp(min=1e-9)
        self._events.add("embedding", features, names, pictures, epoch, tag="penultimate")

    def _graph(self, state: State) -> None:
        """Trace the network in evaluation mode, where it draws no random numbers."""
        images = self._batch(state.device).images[:1]
        state.model.eval()
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer, about what this network never does
            self._events.add("graph", state.model, images)

    def _asked(self, state: State) -> tuple[nn.Module, Batch]:
        """Give the network and a batch; of frozen layers, which stay, what they made of it once."""
        batch = self._batch(state.device)
        if self._plan.behind is None:
            return state.model, batch
        if self._behind is None:
            made = [
                self._plan.behind(state.model, part) for part in batch.images.split(self._sizes)
            ]
            self._behind = made[0][0], torch.cat([features.cpu() for _, features in made])
        end, features = self._behind
        return end, Batch(features.to(state.device), batch.labels)

    def _batch(self, device: torch.device) -> Batch:
        """Give the run's first training batch, augmented as the run has it.

        It is the same after every epoch, so that gradients can be compared, and is read once:
        streamed images would start their workers for it. It waits outside the device's memory.
        """
        if self._images is None:
            first = next(self._plan.train.epoch(self._plan.seed, 0, self._plan.batch_size))
            self._images = Batch(*(tensor.cpu() for tensor in first))
        return Batch(*(tensor.to(device) for tensor in self._images))


class Profile:
    """Record a trace of a few steps of the first epoch, and pass on what is displayed.

    The trace is read by `chrome://tracing`, by Perfetto, and by TensorBoard's profiler plugin.

    Args:
        display: What is told of each step.
        path: Of the trace.
    """

    _FIRST, _LAST = 3, 13  # steps; the first ones choose kernels and allocate

    def __init__(self, display: Display, path: Path) -> None:
        self._display, self._path = display, path
        self._profiler: torch.profiler.profile | None = None

    def step(self, state: State) -> None:
        """Take note of a step."""
        self._display.step(state)
        if state.global_step == self._FIRST:
            self._profiler = torch.profiler.profile(record_shapes=True)
            with warnings.catch_warnings(action="ignore"):  # of cycles, of which there is one
                self._profiler.start()
        elif state.global_step == self._LAST:
            self.close()

    def close(self) -> None:
        """End the trace and write it, if one is being taken."""
        if self._profiler is not None:
            profiler, self._profiler = self._profiler, None
            profiler.stop()
            profiler.export_chrome_trace(str(self._path))
