"""One run, from configuration to summary."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, cast

import torch

from etude.base import startup
from etude.base.errors import UserError
from etude.base.identity import Identity
from etude.base.seeds import mix
from etude.base.text import epoch_line, near
from etude.config import Config
from etude.data.batch import Batch
from etude.runs.claim import claimed, set_aside
from etude.runs.identity import check_identity
from etude.runs.names import CURVES, LAYERS, METRICS
from etude.runs.records import (
    EpochRow,
    Summary,
    append_line,
    keep_rows,
    read_rows,
    read_summary,
    write_json,
)
from etude.train.batch_parts import Predict, choose_parts, in_parts
from etude.train.builders import Parts, make_parts
from etude.train.checkpoint import Checkpoints
from etude.train.ending import failing, verdict
from etude.train.final_test import finish, record_predictions
from etude.train.hardware import (
    choose_device,
    choose_precision,
    take_up_threads,
    threads_restored,
)
from etude.train.logfile import logged
from etude.train.longer import beginning
from etude.train.loop import Display, fit
from etude.train.opening import begin
from etude.train.peek import Peek
from etude.train.record.curves import draw
from etude.train.record.layers import layer_spreads
from etude.train.record.tensorboard import shown
from etude.train.record.view import View
from etude.train.reference import compare
from etude.train.state import State
from etude.train.stop import Pruned, Stop

log = logging.getLogger(__name__)

Judge = Callable[[Sequence[Mapping[str, Any]]], bool]  # of the epochs so far


class MakeDisplay(Protocol):
    """Makes what shows the steps as they go, for as long as its context is open."""

    def __call__(
        self,
        peek: Callable[[State], tuple[float, float] | None],
        *,
        done: int,
        steps: int,
        epochs: int,
        batch_size: int,
    ) -> AbstractContextManager[Display]:
        """Make it.

        Args:
            peek: Gives the epoch's (loss, accuracy) so far, or None if nobody knows yet.
            done: Steps done before.
            steps: Steps in an epoch.
            epochs: Epochs in all.
            batch_size: Images in a step.
        """
        ...


@threads_restored()
def run(
    config: Config,
    folder: Path,
    *,
    identity: Identity,
    texts: Mapping[str, str],
    arm: str,
    documented: bool,
    display: MakeDisplay,
    gains: bool,
    predict: Predict,
    prune: Judge | None = None,
) -> Summary:
    """Train one network as configured, or go on where a process left off, and give the summary.

    Args:
        config: What to train, and how.
        folder: Where it is recorded; made once everything has been checked and loaded.
        identity: What makes it this run; a folder that holds another is refused.
        texts: Texts for the folder, by path: the configuration as composed and as resolved.
        arm: What the run shares with those that differ only in their seed.
        documented: Whether it is an experiment as its document has it, so that figures are judged.
        display: Makes what shows its progress.
        gains: Whether bfloat16 is worth it for all runs that this one belongs with; see
            `etude.train.bfloat16_gains`.
        predict: Tells the bytes that a run needs on a GPU, see `etude.train.batch_parts`.
        prune: Says, from the epochs so far, whether a search gives the run up; None asks nobody.

    Raises:
        UserError: Something asked for is not possible; nothing has been written.
        Busy: Another process is at work in the folder.
        Diverged: The loss became NaN or infinite.
        Pruned: It was hopeless.
        SystemExit: A signal came, and the state has been saved: 130 after Ctrl-C, else 75.
    """
    begun = None if config.fresh else read_summary(folder)
    take_up_threads(begun, choose_device(config.device))
    precision = _precision(config, begun, gains=gains)
    config = _divided(config, begun, precision, predict)
    parts = make_parts(config, precision)
    _make_room(config, folder)
    with claimed(folder), logged(folder):
        check_identity(folder, identity)
        checkpoints, adopted = _resume(config, folder, identity, parts)
        summary = begin(config, folder, identity, texts, parts)
        with (
            verdict(folder, summary, checkpoints, config.record.notify),
            Stop() as stop,
            shown(config, folder, identity, parts, arm) as view,
        ):
            _look_ahead(config, folder, parts)
            for row in read_rows(folder) if adopted else ():
                view.scalars(row)
            rows = _train(folder, parts, checkpoints, stop, view, display, prune)
            with failing():
                ending = finish(folder, parts, rows, view, fingerprint=identity.fingerprint)
            how = {"test_crops": config.train.test_crops, "compiled": parts.state.compiler.on}
            summary |= {**ending, **how}
            _look_back(config, folder, parts, rows, view, int(ending["best"]["epoch"]))
            results = {"final": ending["final"], "best": ending["best"]}
            summary["reference"] = compare(config.reference, rows, results, judged=documented)
        if stop.exit_code is not None:
            log.info("finished: the signal came too late; the same command shows the result")
    stop.obey()  # it came too late for this run, but the next must not begin
    return cast("Summary", summary)


def _precision(config: Config, begun: Summary | None, *, gains: bool) -> str:
    """Give what the run began with, or what is chosen for all that it belongs with."""
    if begun is not None and config.precision == "auto":
        return begun["precision"]
    return choose_precision(config.precision, choose_device(config.device), gains=gains)


def _divided(config: Config, begun: Summary | None, precision: str, predict: Predict) -> Config:
    """Compute batches in as many parts as the run began with, or as are chosen for it."""
    if config.train.accumulate != "auto":
        return config
    if begun is not None and "accumulate" in begun:
        return in_parts(config, begun["accumulate"])
    device = choose_device(config.device)
    return in_parts(config, choose_parts(config, device, precision, predict).parts)


def _make_room(config: Config, folder: Path) -> None:
    """Move an earlier run aside, where it is to be trained afresh."""
    if config.fresh and (aside := set_aside(folder)):
        log.info("the earlier run is now %s", near(aside))


def _resume(
    config: Config, folder: Path, identity: Identity, parts: Parts
) -> tuple[Checkpoints, bool]:
    """Seed what is drawn while training, or take up the last checkpoint.

    Returns:
        What keeps checkpoints, and whether what was taken up is the end of a shorter run.
    """
    conditions = {
        "fingerprint": identity.fingerprint,
        "precision": parts.plan.precision,
        "data": parts.images.digest,
    }
    if identity.decisive.get("train.accumulate") == "auto":  # else the fingerprint says it
        conditions["train.accumulate"] = str(config.train.parts)
    checkpoints = Checkpoints(
        folder,
        identity=conditions,
        every_seconds=config.train.checkpoint_seconds,
        every_steps=config.train.checkpoint_steps,
    )
    torch.manual_seed(mix(config.seed, "dropout"))  # of all devices
    saved, adopted = checkpoints.load(), False
    if saved is None and not config.fresh:
        schedule = parts.state.schedule
        saved = beginning(folder, identity, conditions, schedule, parts.plan.epochs)
        adopted = saved is not None
    if saved is not None:
        parts.state.load_state_dict(saved)
        log.info("going on from epoch %d, step %d", parts.state.epoch + 1, parts.state.step)
    return checkpoints, adopted


def _look_ahead(config: Config, folder: Path, parts: Parts) -> None:
    """Tell how signals spread through the network, where that is asked for."""
    state, plan = parts.state, parts.plan
    if not config.record.layers or state.global_step:
        return
    whole = next(plan.train.epoch(plan.seed, 0, plan.batch_size))
    batch = Batch(*(part[: parts.part_sizes[0]] for part in whole))  # what is in memory at a time
    spreads = layer_spreads(state.model, batch, label_smoothing=plan.label_smoothing)
    write_json(folder / LAYERS, {"layers": spreads})


def _train(
    folder: Path,
    parts: Parts,
    checkpoints: Checkpoints,
    stop: Stop,
    view: View,
    display: MakeDisplay,
    prune: Judge | None,
) -> list[EpochRow]:
    """Train to the end, recording every epoch; give all epochs' metrics."""
    startup.mark("folder")
    log.debug("first step %s", startup.told())
    state, plan = parts.state, parts.plan
    rows = keep_rows(folder, state.epoch)
    if lost := set(range(1, state.epoch + 1)) - {row["epoch"] for row in rows}:
        epochs = ", ".join(map(str, sorted(lost)))
        raise UserError(
            f"{near(folder / METRICS)} has lost epoch {epochs}, which cannot be made up for; "
            "fresh=true starts over"
        )
    bar = display(
        Peek(plan.batch_size),
        done=state.global_step,
        steps=state.steps,
        epochs=plan.epochs,
        batch_size=plan.batch_size,
    )
    view.begin(state)
    with failing(), bar as shows:
        told = view.watched(shows, folder)
        for row in fit(state, parts.steps, plan, checkpoints=checkpoints, stop=stop, display=told):
            append_line(folder / METRICS, row)
            rows.append(row)
            log.info("%s", epoch_line(row, plan.epochs))
            view.scalars(row)
            view.epoch(state)
            if prune is not None and prune(rows) and row["epoch"] < plan.epochs:
                raise Pruned(row["epoch"], plan.epochs)
    return rows


def _look_back(
    config: Config, folder: Path, parts: Parts, rows: Sequence[EpochRow], view: View, epoch: int
) -> None:
    """Draw the epochs, and look closer at what the best one's weights make of the test split."""
    if config.record.curves:
        draw(rows, folder / CURVES, title=f"{config.name}, seed {config.seed}")
    record_predictions(folder, parts, view, epoch=epoch, confusion=config.record.confusion)
