"""Which job runs on which device, beside how many others, with how many threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from etude.base.gpu_memory import fits
from etude.launch.machine import Device


@dataclass
class Slots:
    """The places on a machine's devices.

    Args:
        devices: The GPUs, or the CPU alone.
        limit: Jobs on one device at the same time.
    """

    devices: Sequence[Device]
    limit: int
    _held: dict[int, tuple[Device, int, bool]] = field(
        default_factory=dict[int, tuple[Device, int, bool]]
    )

    def take(
        self, job: int, *, device: str = "auto", memory: int | None = None, alone: bool = False
    ) -> Device | None:
        """Give a job a place on the device with the fewest jobs, or None while there is none.

        Args:
            job: Its number.
            device: The one that it asks for, see `About`.
            memory: Bytes that it needs; None if nobody knows, which on a GPU is a GPU of its own.
            alone: Whether it must have the device for itself.
        """
        for place in sorted(self._allowed(device), key=lambda place: len(self._on(place))):
            if self._fits(place, memory, alone=alone):
                self._hold(job, place, memory, alone=alone)
                return place
        return None

    def learn(self, job: int, memory: int | None, *, alone: bool) -> None:
        """Take note of what a job needs that has a place already; see `take`."""
        self._hold(job, self._held[job][0], memory, alone=alone)

    def _hold(self, job: int, place: Device, memory: int | None, *, alone: bool) -> None:
        apart = alone or (memory is None and not place.is_cpu)
        self._held[job] = (place, memory or 0, apart)

    def give_back(self, job: int) -> None:
        """Make a job's place free."""
        self._held.pop(job, None)

    def _allowed(self, device: str) -> Sequence[Device]:
        _, colon, number = device.partition(":")
        if colon and not self.devices[0].is_cpu:
            return self.devices[int(number) : int(number) + 1]
        return self.devices

    def _on(self, device: Device) -> list[tuple[Device, int, bool]]:
        return [held for held in self._held.values() if held[0] == device]

    def _fits(self, device: Device, memory: int | None, *, alone: bool) -> bool:
        others = self._on(device)
        if not others:
            return True  # the first may try, whatever was predicted
        if alone or len(others) >= self.limit:
            return False
        if device.is_cpu:
            return not any(apart for *_, apart in others)
        if memory is None or device.free is None or any(apart for *_, apart in others):
            return False
        return fits(memory, device.free, *(taken for _, taken, _ in others))


def jobs_per_device(wanted: int | str, *, devices: Sequence[Device], cores: int) -> int:
    """Turn `auto` into the most jobs that leave each a core of its own."""
    return max(1, cores // len(devices)) if wanted == "auto" else int(wanted)


def threads(*, cores: int, places: int, environment: Mapping[str, str]) -> int:
    """Share the cores among the jobs that run at the same time.

    Two jobs of two threads on two cores are several times slower than two of one thread. Whoever
    has set `OMP_NUM_THREADS` gets no more than that.

    Args:
        cores: That may be kept busy.
        places: Jobs at the same time.
        environment: Of the process.
    """
    share = max(1, cores // places)
    asked = environment.get("OMP_NUM_THREADS", "")
    return min(share, int(asked)) if asked.isdigit() and int(asked) else share


def visible_devices(device: Device, asked: str) -> dict[str, str]:
    """Give the environment that shows a job its own GPU only; one asked for by number keeps it."""
    if device.is_cpu or ":" in asked:
        return {}
    return {"CUDA_VISIBLE_DEVICES": device.name}
