"""What the device does in a step, kernel by kernel: Étude's beside the bare one.

python -m benchmarks.kernels lenet lenet_shift resnet20 alexnet
python -m benchmarks.kernels lenet --device cpu          operations instead of kernels

Both train the same network on made images, as in `benchmarks.check_speed`. Listed are the kernels
in whose time they differ most; what is left of a step's time between kernels is told as such. All
steps are of one epoch, unless there are too few images: what its end costs is `check_speed`'s.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from torch.profiler import ProfilerActivity, profile

from benchmarks import machine, tables
from benchmarks.check_speed import bare, images_of, ours
from benchmarks.made import advance, finished
from benchmarks.rows import ROWS
from etude.train.compiler import use_cache

STEPS = 50
SHOWN = 25


class Seen(NamedTuple):
    """What was done in a step.

    Attributes:
        microseconds: From one step to the next, without the profiler.
        calls: How often, by name.
        busy: Microseconds on the device, by name.
    """

    microseconds: float
    calls: dict[str, float]
    busy: dict[str, float]


def seen(step: Callable[[], object], finish: Callable[[], None], device: str, steps: int) -> Seen:
    """Look at steps: first at how long they take, then at what they are made of."""
    for _ in range(8):
        step()
    finish()
    start = time.perf_counter()
    for _ in range(4 * steps):
        step()
    finish()
    passed = (time.perf_counter() - start) / (4 * steps) * 1e6
    activity = ProfilerActivity.CUDA if device == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity], acc_events=True) as told:
        for _ in range(steps):
            step()
        finish()
    calls: Counter[str] = Counter()
    busy: Counter[str] = Counter()
    for event in told.key_averages():
        of_device: Any = event
        spent = of_device.self_device_time_total if device == "cuda" else event.self_cpu_time_total
        if device == "cuda" and not spent:
            continue
        calls[event.key] += event.count / steps
        busy[event.key] += spent / steps
    return Seen(passed, dict(calls), dict(busy))


def compare(row: str, device: str, images: int, steps: int = STEPS) -> dict[str, Any]:
    """Look at both ways of one row."""
    parts, runner = ours(row, device, images)
    each = advance(parts, runner)
    one = seen(lambda: next(each), lambda: finished(parts), device, steps)
    other = seen(bare(row, device, images), lambda: finished(parts), device, steps)
    return {"row": row, "etude": one._asdict(), "bare": other._asdict()}


def show(told: dict[str, Any]) -> str:
    """Lay out the two ways of a row, and what differs most."""
    ways = {name: Seen(**told[name]) for name in ("etude", "bare")}
    sums = [
        [
            name,
            f"{way.microseconds:,.0f}",
            f"{sum(way.busy.values()):,.0f}",
            f"{way.microseconds - sum(way.busy.values()):,.0f}",
            f"{sum(way.calls.values()):,.0f}",
        ]
        for name, way in ways.items()
    ]
    etude, bare_one = ways["etude"], ways["bare"]
    more = {
        name: etude.busy.get(name, 0) - bare_one.busy.get(name, 0)
        for name in {*etude.busy, *bare_one.busy}
    }
    lines = [
        [
            name[:90].replace("|", "/"),
            *(f"{way.calls.get(name, 0):g}" for way in ways.values()),
            f"{value:+.1f}",
        ]
        for name, value in sorted(more.items(), key=lambda pair: -abs(pair[1]))[:SHOWN]
    ]
    head = ["", "µs a step", "in kernels", "between", "kernels"]
    kernels = tables.table(["kernel", "Étude", "bare", "µs more"], lines)
    return f"### {told['row']}\n\n{tables.table(head, sums)}\n\n{kernels}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="+", choices=ROWS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--images", type=int, help="default: the data set's")
    parser.add_argument("--steps", type=int, default=STEPS)
    chosen = parser.parse_args()
    machine.require(chosen.device)
    use_cache()
    told = [
        compare(row, chosen.device, chosen.images or images_of(row, chosen.device), chosen.steps)
        for row in chosen.rows
    ]
    text = "\n".join(map(show, told))
    print(text)
    print(json.dumps({each["row"]: each["etude"]["microseconds"] for each in told}))
    tables.save("kernels", {"rows": told}, text, device=chosen.device)


if __name__ == "__main__":
    main()
