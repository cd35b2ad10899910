"""The command `etude-eval`: what runs' networks make of images whose classes are known."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from etude.base.errors import UserError
from etude.base.text import counted, near
from etude.cli import entry
from etude.cli.output import show_json
from etude.cli.parser import Words, folder_to_be
from etude.cli.terminal import complain, console
from etude.config.build import import_from
from etude.report.scores import (
    calibration,
    calibration_error,
    class_scores,
    mcnemar,
    mean_f1,
    wilson,
)
from etude.runs.names import EVALUATION
from etude.runs.records import write_json

if TYPE_CHECKING:
    from etude.cli.answers import Asked

_WORST = 10  # images in the table
_TOP = 5
_PICTURES = ("confusion.png", "reliability.png")
_WIDE = 12  # classes whose confusion matrix fits into a terminal
EXAMPLES = """\
examples:
  etude-eval outputs/photos/seed=0-36ca5b90
  etude-eval RUN --split validation --weights last
  etude-eval RUN --data new_photos            class folders that the run has not seen
  etude-eval RUN RUN                          side by side, with McNemar's test
  etude-eval RUN --json | jq .accuracy

evaluation.json goes into the run's folder, and confusion.png and reliability.png beside it; with
--data nothing is written but below --output.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if it cannot write, 2 if it was refused."""
    try:
        args = _parser().parse_args(arguments)
        import_from(Path.cwd())
        found = {folder: _asked(folder, args) for folder in args.runs}
        told = [_told(folder, asked, args) for folder, asked in found.items()]
        compared = _compared(list(found.values()))
        written = _write(found, told, args)
    except UserError as error:
        complain(error)
        return 2
    except OSError as error:
        complain(f"{error}; --output names a folder that can be written to")
        return 1
    if args.json:
        text: Any = told[0] if len(told) == 1 else {"runs": told, "mcnemar": compared}
        show_json(text)
    else:
        _show(told, compared)
        for place in written:
            files = ", ".join((EVALUATION, *_PICTURES))
            console.print(f"written  {files} in {near(place)}", markup=False)
    return 0


def _parser() -> Words:
    parser = Words.of(
        "etude-eval",
        "Evaluate runs' networks: accuracy, classes, calibration, confusion.",
        EXAMPLES,
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    add("--split", choices=("test", "validation", "train"), default="test", help="(test)")
    add("--weights", choices=("best", "last"), default="best", help="of which epoch (best)")
    add("--data", type=Path, metavar="FOLDER", help="class folders in place of the run's own data")
    add("--output", type=folder_to_be, metavar="FOLDER", help="for the files (the run's folder)")
    add("--packages", nargs="+", default=(), metavar="NAME", help="your own, for its network")
    add("--json", action="store_true", help="print JSON instead of tables")
    parser.add_completion()
    return parser


def _asked(folder: Path, args: argparse.Namespace) -> Asked:
    if args.data is not None:
        return _torch().ask_folder(folder, args.data, args.split, args.weights, args.packages)
    return _torch().ask_split(folder, args.split, args.weights, args.packages)


def _torch() -> Any:
    """Give what needs PyTorch."""
    from etude.cli import answers  # noqa: PLC0415 (seconds)

    return answers


def _told(folder: Path, asked: Asked, args: argparse.Namespace) -> Mapping[str, Any]:
    """Put everything that is told of a run into one mapping, as JSON has it."""
    right, count = sum(asked.right), len(asked.labels)
    counts, losses = asked.counts(), asked.losses()
    scores = class_scores(counts, asked.classes)
    bins = calibration(asked.probabilities.max(1).values.tolist(), asked.right)
    top = min(_TOP, len(asked.classes))
    within = asked.probabilities.topk(top, 1).indices == asked.labels[:, None]
    return {
        "run": str(folder),
        "split": args.split,
        "weights": args.weights,
        "data": None if args.data is None else str(args.data),
        "images": count,
        "accuracy": right / count,
        "interval": wilson(right, count),
        f"top_{top}_accuracy": int(within.any(1).sum()) / count,
        "loss": float(losses.mean()),
        "mean_f1": mean_f1(scores),
        "calibration_error": calibration_error(bins),
        "calibration": [asdict(each) for each in bins],
        "classes": [score._asdict() for score in scores],
        "confusion": counts,
        "most_wrong": _most_wrong(asked, losses.tolist()),
    }


def _most_wrong(asked: Asked, losses: Sequence[float]) -> list[Mapping[str, Any]]:
    """List the images that are told wrong with the highest loss."""
    taken, labels = asked.taken.tolist(), asked.labels.tolist()
    wrong = [i for i, right in enumerate(asked.right) if not right]
    worst = sorted(wrong, key=lambda i: -losses[i])[:_WORST]
    return [
        {
            "image": asked.files[i] if asked.files else f"number {i}",
            "class": asked.classes[labels[i]],
            "answer": asked.classes[taken[i]],
            "probability": float(asked.probabilities[i, taken[i]]),
            "loss": losses[i],
        }
        for i in worst
    ]


def _compared(asked: Sequence[Asked]) -> list[Mapping[str, Any]]:
    """Hold each further run against the first, image by image.

    Raises:
        UserError: They were asked about other images.
    """
    first, *others = asked
    for other in others:
        if not first.same_images(other):
            raise UserError(
                "the runs were made with other images, or other splits of them, which cannot be "
                "compared one by one; --data asks all of them about the same folder"
            )
    return [mcnemar(first.right, other.right)._asdict() for other in others]


def _write(
    found: Mapping[Path, Asked], told: Sequence[Mapping[str, Any]], args: argparse.Namespace
) -> list[Path]:
    """Write what is told of each run; give the folders that it was written to."""
    places: list[Path] = []
    for (folder, asked), content in zip(found.items(), told, strict=True):
        place = folder if args.output is None else args.output / folder.name
        if args.data is not None and args.output is None:
            continue
        place.mkdir(parents=True, exist_ok=True)
        write_json(place / EVALUATION, content)
        _torch().draw(place, content["confusion"], asked.classes, content["calibration"])
        places.append(place)
    return places


def _show(told: Sequence[Mapping[str, Any]], compared: Sequence[Mapping[str, Any]]) -> None:
    for content in told:
        _show_run(content)
    for other, test in zip(told[1:], compared, strict=True):
        console.print(
            f"{near(Path(told[0]['run']))} against {near(Path(other['run']))}: only the first is "
            f"right on {counted(test['only_first'], 'image')}, "
            f"only the second on {test['only_second']}; "
            f"McNemar's exact p = {test['p']:.4g}",
            markup=False,
        )


def _show_run(content: Mapping[str, Any]) -> None:
    low, high = content["interval"]
    top = next(key for key in content if key.startswith("top_"))
    console.print(
        f"{near(Path(content['run']))}: {counted(content['images'], 'image')} of "
        f"{content['data'] or content['split']}, {content['weights']} weights\n"
        f"accuracy {content['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}), "
        f"{top.replace('_', ' ').replace('top ', 'top-')} {content[top]:.4f}, "
        f"loss {content['loss']:.4f}, mean F1 {content['mean_f1']:.4f}, "
        f"calibration error {content['calibration_error']:.4f}",
        markup=False,
    )
    console.print(_classes(content))
    if len(content["classes"]) <= _WIDE:
        console.print(_confusion(content))
    if content["most_wrong"]:
        console.print(_wrong(content))


def _classes(content: Mapping[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for column in ("images", "precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for score in content["classes"]:
        cells = [score["precision"], score["recall"], score["f1"]]
        shown = ("–" if value is None else f"{value:.4f}" for value in cells)
        table.add_row(score["label"], f"{score['images']:,}", *shown)
    return table


def _confusion(content: Mapping[str, Any]) -> Table:
    names = [score["label"] for score in content["classes"]]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("class \\ answer")
    for name in names:
        table.add_column(name, justify="right")
    for name, row in zip(names, content["confusion"], strict=True):
        table.add_row(name, *(str(count) if count else "·" for count in row))
    return table


def _wrong(content: Mapping[str, Any]) -> Table:
    table = Table("most wrong", "class", "answer", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("probability", "loss"):
        table.add_column(column, justify="right")
    for row in content["most_wrong"]:
        numbers = f"{row['probability']:.4f}", f"{row['loss']:.4f}"
        image = near(Path(row["image"])) if "/" in row["image"] else row["image"]
        table.add_row(image, row["class"], row["answer"], *numbers)
    return table


if __name__ == "__main__":
    sys.exit(entry.evaluate())
