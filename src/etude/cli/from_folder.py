"""What a run's folder stands for on this machine: its job, made from its own files alone."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from etude.base.errors import UserError
from etude.base.text import arm_of
from etude.cli.job import ComposedJob
from etude.cli.recorded import recorded
from etude.config import Config, check, identify
from etude.config.build import check_target, targets_of
from etude.config.schema import GROUPS, SCHEMAS
from etude.preflight.contents import Contents
from etude.runs.names import COMPOSED, CONFIG, HYDRA, OVERRIDES
from etude.runs.records import Summary
from etude.train.weights import IMAGENET

_OWN = re.compile(r"(?P<label>.+)-[0-9a-f]{8}")  # a run's folder, as Étude names it
_PRECISIONS = ("float32", "tf32", "bfloat16", "float16")  # that a run may have had
_LONGEST = 200  # of the 255 bytes that file systems take for a name
_USUAL_DATA = "${oc.env:ETUDE_DATA,data}"  # as conf/dataset/ has it


@dataclass(frozen=True)
class Given:
    """What the person who asks gives besides the folder; None leaves it as it was.

    Args:
        outputs: The folder that the new run is to be below.
        data: Where the images are here.
        weights: What it begins with, here.
        device: To train on.
        packages: That may be imported, whatever the folder says.
        config_dir: Where these are sought besides.
        anyway: Do it even if it will be another run.
    """

    outputs: Path
    data: Path | None = None
    weights: Path | None = None
    device: str | None = None
    packages: Sequence[str] = ()
    config_dir: Path | None = None
    anyway: bool = False


def job_of(source: Path, summary: Summary, given: Given) -> tuple[ComposedJob, Mapping[str, str]]:
    """Make the run from its folder.

    Raises:
        UserError: Its configuration is not valid, or names code that the person does not.
    """
    values = _here(source, recorded(source), given)
    _check_trust(source, values, given.packages)
    config = check(values)
    identity = identify(config, Contents().of(config, {}))
    label = _label(source, config)
    job = ComposedJob(
        config=_as_it_was(config, summary, given),
        identity=identity,
        folder=Path(given.outputs, config.name, f"{label}-{identity.fingerprint}"),
        arm=arm_of(label),
        documented=any(row["agrees"] is not None for row in summary.get("reference", [])),
        local=True,
        words=(),
    )
    files = (path for path in (COMPOSED, HYDRA, OVERRIDES) if (source / path).is_file())
    texts = {path: (source / path).read_text(encoding="utf-8", errors="replace") for path in files}
    return job, {CONFIG: OmegaConf.to_yaml(OmegaConf.create(dict(values))), **texts}


def _here(source: Path, values: Mapping[str, Any], given: Given) -> Mapping[str, Any]:
    """Put in what is another on this machine; none of it decides the result.

    `record.notify` falls away, as it may be a command: a folder's word is not taken for one.
    """
    here: Mapping[str, Any] = {
        **values,
        "device": given.device or values.get("device"),
        "fresh": False,
        "record": {**_mapping(values.get("record")), "notify": None},
        "dataset": _with_root(source, values.get("dataset"), given.data),
    }
    if given.weights is None:
        return here
    init = _mapping(values.get("init"))
    if init.get("weights") is None:
        raise UserError(f"--weights {given.weights}: {source} begins with none; leave it out")
    key = "weights_file" if init["weights"] == IMAGENET else "weights"
    return {**here, "init": {**init, key: str(given.weights)}}


def _mapping(part: Any) -> Mapping[str, Any]:
    """Give a part that is one; of a damaged file's, the check tells what is missing."""
    return part if isinstance(part, dict) else {}


def _with_root(source: Path, dataset: Any, data: Path | None) -> Any:
    """Say where the images are: where they were, or where this machine has its data."""
    if not isinstance(dataset, dict) or "root" not in dataset:
        if data is not None:
            raise UserError(f"--data {data}: the images of {source} are in no folder; leave it out")
        return dataset
    if data is not None:
        return {**dataset, "root": str(data)}
    raw = _raw(source / COMPOSED, "dataset.root")
    gone = not Path(str(dataset["root"])).expanduser().exists()
    if gone and isinstance(raw, str) and raw.startswith(_USUAL_DATA):
        usual = os.environ.get("ETUDE_DATA") or "data"
        return {**dataset, "root": raw.replace(_USUAL_DATA, usual)}
    return dataset


def _check_trust(source: Path, values: Mapping[str, Any], packages: Sequence[str]) -> None:
    """Refuse to build what a folder names, unless it is a part of Étude's, of PyTorch's, or given.

    Raises:
        UserError: It is something else.
    """
    named = values.get("packages")
    own = [str(name) for name in named] if isinstance(named, list) else []
    if missing := [name for name in own if name not in packages]:
        raise UserError(
            f"{source} was made with packages=[{','.join(own)}], code that a folder alone is not "
            f"trusted with; if it is yours, add --packages {' '.join(missing)}"
        )
    for target in (t for group in GROUPS for t in targets_of(values.get(group))):
        check_target(str(target), own)
        if str(target).startswith("etude.") and target not in SCHEMAS:
            raise UserError(f"{source / CONFIG}: _target_={target} is no part of a run")


def _as_it_was(config: Config, summary: Summary, given: Given) -> Config:
    """Fix what was left to the machine, as it was then; the run's identity has it as written."""
    then = summary.get("device", "cpu")
    device, compiled = device_for(then, given), summary.get("compiled")
    if compiled is not None and (device == "cpu") == (then == "cpu"):
        config = replace(config, train=replace(config.train, compile=str(compiled).lower()))
    precision, parts = summary.get("precision"), summary.get("accumulate")
    if precision not in {None, *_PRECISIONS} or (parts is not None and parts < 1):
        raise UserError(
            f"summary.json is damaged: precision {precision}, batches in {parts} parts; a run has "
            f"one of {', '.join(_PRECISIONS)}, and 1 part or more"
        )
    if parts is not None:
        config = replace(config, train=replace(config.train, accumulate=parts))
    return replace(config, device=device, precision=precision or config.precision)


def _label(source: Path, config: Config) -> str:
    """Give what a run is called by, its fingerprint aside: a copy's folder may be called anything.

    The folder that it was made in is asked after its own.
    """
    made_in = str(_raw(source / HYDRA, "hydra.runtime.output_dir"))
    for name in (source.resolve().name, Path(made_in).name):
        if found := _OWN.fullmatch(name):
            return re.sub(r"[^A-Za-z0-9.=+_-]+", "_", found["label"])[:_LONGEST]
    return f"seed={config.seed}"


def device_for(then: str, given: Given) -> str:
    """Choose where to train: a run on a CPU is done again on one, wherever there is a GPU."""
    return given.device or ("cpu" if then == "cpu" else "auto")


def _raw(path: Path, key: str) -> Any:
    """Read one key of a folder's YAML, unresolved; None where that cannot be done."""
    try:
        node: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        for name in key.split("."):
            node = node[name]
    except Exception:  # noqa: BLE001 (whatever a damaged file makes the parser raise)
        return None
    return node
