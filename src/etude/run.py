"""One run, from configuration to summary."""

import logging
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from etude import console, startup
from etude.checkpoint import LAST, Checkpoints
from etude.config import Config, fingerprint, results, settings
from etude.data.prepare import Data
from etude.finish import finish, record_predictions
from etude.hardware import (
    choose_device,
    choose_precision,
    describe,
    make_deterministic,
    set_tf32,
)
from etude.loop import Diverged, Plan, Steps, Stopped, fit
from etude.memory import count_parameters
from etude.parts import load_data, load_weights, make_model, make_plan, make_state, make_steps
from etude.peek import Peek
from etude.record.curves import draw
from etude.record.environment import since, write_environment
from etude.record.folder import (
    METRICS,
    SUMMARY,
    append_line,
    claimed,
    keep_metrics,
    set_aside,
    write_json,
    write_text,
)
from etude.record.view import View
from etude.reference import compare
from etude.seeds import mix
from etude.state import State
from etude.stop import Pruned, Requeued, Stop
from etude.weights import Report

if TYPE_CHECKING:
    from etude.record.events import Events

log = logging.getLogger(__name__)


def run(
    config: Config,
    folder: Path,
    *,
    texts: Mapping[str, str],
    arm: str,
    documented: bool,
    hopeless: Callable[[Sequence[Mapping[str, Any]]], bool] | None = None,
) -> dict[str, Any]:
    """Train one network as configured, or go on where an earlier process left off.

    Args:
        config: What to train, and how.
        folder: Where it is recorded; made once everything has been checked and loaded.
        texts: Texts for the folder, by path: the configuration as composed and as resolved.
        arm: What the run shares with those that differ only in their seed.
        documented: Whether it is an experiment as its document has it, so that figures are judged.
        hopeless: Says, from the epochs so far, whether a search gives the run up; None asks nobody.

    Returns:
        The summary.

    Raises:
        UserError: Something asked for is not possible; nothing has been written.
        Busy: Another process is at work in the folder.
        Diverged: The loss became NaN or infinite.
        Pruned: It was hopeless.
        SystemExit: A signal came, and the state has been saved: 130 after Ctrl-C, else 75.
    """
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    make_deterministic(deterministic=config.train.deterministic)
    set_tf32(precision)
    data = load_data(config)
    startup.mark("data")
    model = make_model(config, data, device)
    report = load_weights(config, model)
    state, step = make_state(config, model, data, device, precision)
    plan = make_plan(config, data, device, precision)
    about, classes = _about(config, data), data.classes
    del data  # the plan has what it needs, laid out anew on the device
    startup.mark("network and optimizer")
    if config.fresh and (aside := set_aside(folder)):
        log.info("the earlier run is now %s", console.near(aside))
    with claimed(folder), _logged(folder):
        checkpoints = _resume(config, folder, state, str(about["digest"]), precision)
        summary = _begin(config, folder, texts, state, about, precision, report)
        with (
            _verdict(folder, summary),
            Stop() as stop,
            _events(folder, config, state, arm) as events,
        ):
            view = _view(events, config, plan, classes)
            startup.mark("folder")
            log.debug("first step %s", startup.told())
            steps = make_steps(config, step)
            rows = _train(folder, state, steps, plan, checkpoints, stop, view, hopeless)
            summary |= finish(folder, state, plan, rows, view)
            summary["test_crops"] = config.train.test_crops
            if config.record.curves:
                draw(rows, folder / "curves.png", title=f"{config.name}, seed {config.seed}")
            record_predictions(
                folder,
                state,
                plan,
                classes,
                view,
                epoch=summary["best"]["epoch"],
                confusion=config.record.confusion,
            )
            summary["reference"] = compare(config.reference, rows, summary, judged=documented)
    if stop.exit_code is not None:  # it came too late for this run, but the next must not begin
        raise SystemExit(stop.exit_code)
    return summary


def _begin(
    config: Config,
    folder: Path,
    texts: Mapping[str, str],
    state: State,
    about: Mapping[str, Any],
    precision: str,
    report: Report | None,
) -> dict[str, Any]:
    """Write what is known before the first step; a resumed run keeps what it began with."""
    parameters = count_parameters(state.model)
    summary: dict[str, Any] = {
        "state": "running",
        "name": config.name,
        "fingerprint": fingerprint(config),
        "seed": config.seed,
        "scale": config.scale,
        "parameters": parameters._asdict(),
        "device": describe(state.device),
        "precision": precision,
        "data": dict(about),
        "weights": report.plain() if report is not None else None,
        "hyperparameters": results(config),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_text(folder / name, text)
    for change in since(folder):
        log.warning("since this run began: %s", change)
    write_environment(folder)
    write_json(folder / SUMMARY, summary)
    log.info(
        "%s: %s parameters; %s images to train on, %s to validate, %s to test; %s on %s",
        type(state.model).__name__,
        f"{parameters.trainable:,}",
        *(f"{summary['data'][split]:,}" for split in ("train", "validation", "test")),
        precision,
        summary["device"],
    )
    for line in report.lines() if report is not None else ():
        log.info("%s", line)
    return summary


def _about(config: Config, data: Data) -> dict[str, Any]:
    """Tell which images a run has, and how many."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return {
        "digest": data.digest,
        "root": settings(config.dataset).get("root"),
        **{name: 0 if split is None else len(split.labels) for name, split in splits.items()},
    }


def _resume(config: Config, folder: Path, state: State, digest: str, precision: str) -> Checkpoints:
    """Seed what is drawn while training, or take up the last checkpoint."""
    checkpoints = Checkpoints(
        folder,
        identity={"precision": precision, "data": digest},
        every_seconds=config.train.checkpoint_seconds,
        every_steps=config.train.checkpoint_steps,
    )
    torch.manual_seed(mix(config.seed, "dropout"))  # of all devices
    saved = checkpoints.load()
    if saved is not None:
        state.load_state_dict(saved)
        log.info("going on from epoch %d, step %d", state.epoch + 1, state.step)
    return checkpoints


def _train(
    folder: Path,
    state: State,
    steps: Steps,
    plan: Plan,
    checkpoints: Checkpoints,
    stop: Stop,
    view: View,
    hopeless: Callable[[Sequence[Mapping[str, Any]]], bool] | None,
) -> list[dict[str, Any]]:
    """Train to the end, recording every epoch; give all epochs' metrics."""
    rows = keep_metrics(folder, state.epoch)
    bar = console.Bar(
        Peek(plan.batch_size),
        done=state.global_step,
        steps=state.steps,
        epochs=plan.epochs,
        batch_size=plan.batch_size,
    )
    view.begin(state)
    display = view.watched(bar, folder)
    with bar:
        for row in fit(state, steps, plan, checkpoints=checkpoints, stop=stop, display=display):
            append_line(folder / METRICS, row)
            rows.append(row)
            log.info("%s", console.epoch_line(row, plan.epochs))
            view.scalars(row)
            view.epoch(state)
            if hopeless is not None and hopeless(rows) and row["epoch"] < plan.epochs:
                raise Pruned(row["epoch"], plan.epochs)
    return rows


@contextmanager
def _verdict(folder: Path, summary: dict[str, Any]) -> Generator[None]:
    """Put into the summary how the run ended, whatever ended it."""
    try:
        yield
    except Stopped as stopped:
        log.warning("stopped, and saved; the same command goes on from here")
        summary |= {"state": "preempted"}
        raise SystemExit(stopped.exit_code) from None
    except (KeyboardInterrupt, Requeued):
        summary |= {"state": "preempted"}
        raise
    except Pruned as pruned:
        summary |= {"state": "pruned", "epochs": pruned.epoch}
        raise
    except (Exception, SystemExit) as error:  # a network of the user's own may call sys.exit
        summary |= {"state": "failed", "error": f"{type(error).__name__}: {error}"}
        _tell(error, folder)
        raise
    finally:
        write_json(folder / SUMMARY, summary)


def _tell(error: BaseException, folder: Path) -> None:
    """Put an error into the run's own log; a divergence is a result and needs no traceback."""
    if isinstance(error, Diverged):
        saved = (folder / LAST).exists()
        path = console.near(folder / LAST)
        where = f"the last good checkpoint is {path}" if saved else "there is no checkpoint yet"
        error.add_note(f"{where}; a lower optimizer.lr or train.clip_norm may help")
        log.info("%s; %s", error, where)
    else:
        log.debug("the run failed", exc_info=error)


@contextmanager
def _logged(folder: Path) -> Generator[None]:
    """Write messages, warnings and tracebacks to the run's own log."""
    handler = logging.FileHandler(folder / "run.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("etude")
    logger.setLevel(logging.DEBUG)  # in a launcher's process nobody else has
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    log.warning("%s", message)


@contextmanager
def _events(folder: Path, config: Config, state: State, arm: str) -> Generator["Events | None"]:
    """Open TensorBoard's view; close it with how the run ended."""
    if not config.record.tensorboard:
        yield None
        return
    from etude.record.events import Events  # noqa: PLC0415 (TensorBoard takes its time)

    purge = state.epoch + 1 if state.global_step else None
    events = Events(folder, results(config), group=f"{config.name} {arm}", purge_step=purge)
    succeeded: bool | None = False
    try:
        yield events
        succeeded = True
    except (Stopped, KeyboardInterrupt, Requeued, Pruned):
        succeeded = None
        raise
    finally:
        events.close(succeeded=succeeded)


def _view(events: "Events | None", config: Config, plan: Plan, classes: Sequence[str]) -> View:
    """Show more than numbers, where TensorBoard is on."""
    if events is None:
        return View()
    from etude.record.views import Views  # noqa: PLC0415 (with TensorBoard)

    return Views(events, config.record, plan, classes)
