"""Where jobs run: which device, how many, with how many threads. No GPU is needed to know that."""

import pytest

from etude.base.gpu_memory import CONTEXT_BYTES
from etude.launch import machine
from etude.launch.check import problems
from etude.launch.machine import CPU, MIB, Device, quota, visible
from etude.launch.slots import Slots, jobs_per_device, threads, visible_devices

GIB = 2**30
LISTED = "0, GPU-aaaa, 81000\n1, GPU-bbbb, 40000\n"
SMALL, LARGE = Device("GPU-aaaa", 8 * GIB), Device("GPU-bbbb", 80 * GIB)


def test_gpus_are_called_by_their_uuid_unless_the_user_has_chosen():
    assert visible(LISTED, {}) == [
        Device("GPU-aaaa", 81000 * MIB),
        Device("GPU-bbbb", 40000 * MIB),
    ]
    assert visible(LISTED, {"CUDA_VISIBLE_DEVICES": "1"}) == [Device("1", 40000 * MIB)]
    assert visible(LISTED, {"CUDA_VISIBLE_DEVICES": "GPU-aaaa, MIG-x"}) == [
        Device("GPU-aaaa", 81000 * MIB),
        Device("MIG-x", None),
    ]


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_not_used(hidden: str):
    assert visible(LISTED, {"CUDA_VISIBLE_DEVICES": hidden}) == []


def test_a_machine_without_gpus_offers_its_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(machine, "gpus", list)
    assert machine.devices("auto") == [CPU]
    assert not caplog.records
    assert machine.devices([0, 1]) == [Device("0"), Device("1")]
    assert "hydra.launcher.devices=[0,1]: nvidia-smi lists no GPU here" in caplog.text


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000\n", float("inf")), ("200000 100000\n", 2), ("50000 100000", 1)],
)
def test_a_groups_quota_is_read_as_cores(text: str, cores: float):
    assert quota(text) == cores


@pytest.mark.parametrize(
    ("cores", "places", "asked", "share"),
    [(8, 2, None, 4), (8, 3, None, 2), (2, 4, None, 1), (8, 2, "1", 1), (8, 2, "64", 4)],
)
def test_jobs_share_the_cores_and_never_exceed_what_was_asked(
    cores: int, places: int, asked: str | None, share: int
):
    environment = {} if asked is None else {"OMP_NUM_THREADS": asked}
    assert threads(cores=cores, places=places, environment=environment) == share


def test_as_many_jobs_as_cores_run_on_the_cpu_and_one_that_ends_makes_room():
    slots = Slots([CPU], jobs_per_device("auto", devices=[CPU], cores=2))
    assert [slots.take(job) for job in range(3)] == [CPU, CPU, None]
    slots.give_back(0)
    assert slots.take(2) == CPU


def test_a_gpu_takes_as_many_jobs_as_its_free_memory_is_predicted_to_hold():
    each = 2 * GIB - CONTEXT_BYTES  # 2 GiB with what every process takes; 0.9 of 8 GiB hold 3
    slots = Slots([SMALL], limit=8)
    assert [slots.take(job, memory=each) for job in range(4)] == [SMALL, SMALL, SMALL, None]


def test_a_job_that_nothing_is_known_of_has_its_gpu_for_itself():
    slots = Slots([LARGE], limit=8)
    assert slots.take(0) == LARGE
    assert slots.take(1, memory=GIB) is None
    slots.give_back(0)
    assert slots.take(1, memory=GIB) == LARGE
    assert slots.take(0) is None


def test_what_is_learned_of_a_job_that_runs_makes_room_for_others():
    slots = Slots([LARGE], limit=8)
    assert slots.take(0) == LARGE
    slots.learn(0, GIB, alone=False)
    assert slots.take(1, memory=GIB) == LARGE
    slots.learn(1, None, alone=False)
    assert slots.take(2, memory=GIB) is None


def test_a_job_that_is_predicted_not_to_fit_may_try_alone():
    slots = Slots([SMALL], limit=8)
    assert slots.take(0, memory=100 * GIB) == SMALL
    assert slots.take(1, memory=1) is None


def test_a_second_try_after_running_out_of_memory_is_alone():
    slots = Slots([LARGE], limit=8)
    slots.take(0, memory=GIB)
    assert slots.take(1, memory=GIB, alone=True) is None
    slots.give_back(0)
    assert slots.take(1, memory=GIB, alone=True) == LARGE
    assert slots.take(0, memory=GIB) is None


def test_jobs_go_to_the_device_with_the_fewest():
    slots = Slots([SMALL, LARGE], limit=2)
    taken = [slots.take(job, memory=GIB) for job in range(4)]
    assert taken == [SMALL, LARGE, SMALL, LARGE]


def test_a_job_that_asks_for_a_device_gets_that_one_and_sees_the_others():
    slots = Slots([SMALL, LARGE], limit=1)
    assert slots.take(0, device="cuda:1") == LARGE
    assert slots.take(1, device="cuda:1") is None
    assert slots.take(2, device="cuda:7") is None
    assert visible_devices(LARGE, "cuda:1") == {}
    assert visible_devices(LARGE, "auto") == {"CUDA_VISIBLE_DEVICES": "GPU-bbbb"}
    assert visible_devices(CPU, "auto") == {}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("devices", "gpu"),
        ("devices", []),
        ("jobs_per_device", 0),
        ("threads", True),
        ("preload", "torch"),
        ("fail_fast", "yes"),
        ("retries", -1),
        ("timeout_minutes", 0),
        ("grace_seconds", -1),
        ("live", "maybe"),
    ],
)
def test_a_setting_that_is_not_as_it_must_be_is_named_with_its_rule(setting: str, value: object):
    (line,) = problems({setting: value})
    assert line.startswith(f"hydra.launcher.{setting}={value} must be ")
