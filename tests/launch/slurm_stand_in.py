#!/usr/bin/env python3
"""SLURM's programs in one, as far as submitit and the launcher use them; its name says which.

Jobs are processes of this machine; what is known of them is in the folder that STAND_IN names.
While it has a file `hold`, no job begins.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

PLACE = Path(os.environ.get("STAND_IN", "."))


def sbatch(script: str) -> int:
    """Queue up a script, for each number of its array."""
    text = Path(script).read_text()
    if "--partition=nowhere" in text:
        sys.stderr.write("sbatch: error: invalid partition specified: nowhere\n")
        return 1
    array = str(len(list(PLACE.glob("*.job"))) + 1)
    numbers = re.search(r"--array=.?(\d+)-(\d+)", text)
    tasks = range(int(numbers[1]), int(numbers[2]) + 1) if numbers else [None]
    for task in tasks:
        name = array if task is None else f"{array}_{task}"
        own = {} if task is None else {"ARRAY_JOB_ID": array, "ARRAY_TASK_ID": str(task)}
        own |= {"JOB_ID": array, "CPUS_PER_TASK": "1", "PROCID": "0"}
        subprocess.Popen(
            [sys.executable, __file__, "begin", str(PLACE / f"{name}.job"), script],
            env={**os.environ, **{f"SLURM_{key}": value for key, value in own.items()}},
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        (PLACE / f"{name}.job").write_text("PENDING")
    sys.stdout.write(f"Submitted batch job {array}\n")
    return 0


def begin(job: str, script: str) -> int:
    """Be one job."""
    while (PLACE / "hold").exists() or not Path(job).exists():
        time.sleep(0.05)
    Path(job).write_text("RUNNING")
    code = subprocess.run(["bash", script], check=False).returncode
    Path(job).write_text("FAILED" if code else "COMPLETED")
    return code


def srun(*words: str) -> int:
    """Do what a job's script asks for, its output where it says."""
    array, task = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_ARRAY_TASK_ID", "")
    names = {"%A": array, "%a": task, "%t": "0", "%j": array}

    def file(option: str) -> str:
        path = words[words.index(option) + 1]
        return re.sub("%[Aatj]", lambda found: names[found[0]], path)

    command = words[words.index("--error") + 2 :]
    with Path(file("--output")).open("a") as out, Path(file("--error")).open("a") as err:
        return subprocess.run(command, stdout=out, stderr=err, check=False).returncode


def squeue(*words: str) -> int:
    """List the jobs of the arrays that are asked for."""
    (asked,) = [word.partition("=")[2] for word in words if word.startswith("--jobs=")]
    for path in PLACE.glob("*.job"):
        if path.stem.partition("_")[0] in asked.split(","):
            sys.stdout.write(f"{path.stem} {path.read_text()}\n")
    return 0


def sacct(*_: str) -> int:
    """Say what a cluster without accounting says."""
    (PLACE / "accounting was asked").touch()
    sys.stderr.write("Slurm accounting storage is disabled\n")
    return 1


def install(folder: Path) -> dict[str, str]:
    """Put the programs into a folder; give the environment in which they are found."""
    programs, place = folder / "bin", folder / "queue"
    programs.mkdir()
    place.mkdir()
    for name in ("sbatch", "srun", "squeue", "sacct"):
        (programs / name).write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {name} "$@"\n'
        )
        (programs / name).chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "STAND_IN": str(place)}


if __name__ == "__main__":
    sys.exit(
        {f.__name__: f for f in (sbatch, begin, srun, squeue, sacct)}[sys.argv[1]](*sys.argv[2:])
    )
