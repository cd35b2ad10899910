"""A SLURM of two nodes on this machine's loopback, for as long as tests need it.

Debian's packages `slurmctld slurmd slurm-client munge` have all that it takes.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

NODES = ("n1", "n2")
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun", "scancel", "scontrol")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
# Its own folder for all that it writes, nothing but 127.0.0.1, no accounting, as on a small
# cluster; a node is lost, a job killed and queued again after seconds instead of minutes.
_CONF = """
ClusterName=here
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmctldPort={ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
AccountingStorageType=accounting_storage/none
PreemptMode=REQUEUE
PreemptType=preempt/partition_prio
KillWait=5
SlurmdTimeout=10
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=4000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=4000
PartitionName=low Nodes=ALL Default=YES State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL State=UP PriorityTier=10
"""


def missing() -> str:
    """Say why there can be no SLURM here; an empty text if there can."""
    if os.geteuid() != 0:
        return "a SLURM of one's own needs root"
    lacking = [program for program in _PROGRAMS if shutil.which(program, path=_PATH) is None]
    return f"{', '.join(lacking)}: not installed" if lacking else ""


class Cluster:
    """The daemons, and what a test does to them.

    Args:
        folder: Where all of them write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []
        # Nobody else holds the other end of its input, which closes even if the tests are killed.
        self._minder = subprocess.Popen(
            [sys.executable, __file__, folder], stdin=subprocess.PIPE, start_new_session=True
        )

    def start(self) -> None:
        """Start all daemons, and wait until the nodes can be used."""
        (self.folder / "slurm.conf").write_text(
            _CONF.format(folder=self.folder, ports=free_ports(3)), encoding="ascii"
        )
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid",
                 "log-file": "munge.log", "seed-file": "munge.seed"}  # fmt: skip
        options = [f"--{option}={self.folder / name}" for option, name in files.items()]
        self._start("munged", "--foreground", "--force", *options)
        wait_for((self.folder / "munge.socket").exists, "munged")
        self._start("slurmctld", "-D")
        for node in NODES:
            self.find(node)

    def find(self, node: str) -> None:
        """Start a node that is not there, and wait until it can be used."""
        self._start("slurmd", "-D", "-N", node, NODE=node)
        wait_for(lambda: self.ask("sinfo", "-h", "-n", node, "-p", "low", "-o", "%T") == "idle",
                 f"node {node}")  # fmt: skip

    def lose(self, node: str, *, jobs: bool = True) -> None:
        """Kill a node's daemon, and its jobs with it if they shall not outlive it."""
        place = {"SLURM_CONF": self.environment["SLURM_CONF"]}
        pids = processes_with({"NODE": node, **place})  # the daemon, and one that minds each job
        (own,) = [pid for pid in pids if name_of(pid) == "slurmd"]
        for pid in pids if jobs else [own]:
            os.kill(pid, signal.SIGKILL)  # before the jobs, of whose death they would tell
        next(each for each in self._daemons if each.pid == own).wait()
        if jobs:
            kill_all(lambda: processes_with({"SLURMD_NODENAME": node, **place}))

    def ask(self, *command: str) -> str:
        """Give what one of SLURM's commands says."""
        asked = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        return asked.stdout.strip()

    def stop(self) -> None:
        """End all jobs and daemons."""
        self._minder.communicate(timeout=60)
        for daemon in self._daemons:
            daemon.wait()

    def _start(self, program: str, *options: str, **environment: str) -> None:
        with (self.folder / f"{program}{environment.get('NODE', '')}.out").open("ab") as out:
            self._daemons.append(
                subprocess.Popen(
                    [shutil.which(program, path=_PATH) or program, *options],
                    env={**self.environment, **environment}, cwd=self.folder,
                    stdout=out, stderr=out,
                )
            )  # fmt: skip


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Give a cluster, and stop it whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # whose sockets' paths must be short
    own = Cluster(folder)
    try:
        own.start()
        yield own
    finally:
        own.stop()


def mind(folder: Path) -> None:
    """Once the input ends, end all that belongs to a cluster, and remove its folder."""
    sys.stdin.read()
    kill_all(lambda: processes_with({"SLURM_CONF": str(folder / "slurm.conf")}))
    shutil.rmtree(folder, ignore_errors=True)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def processes_with(variables: Mapping[str, str]) -> list[int]:
    """Find the processes, this one aside, that have variables in their environment."""
    wanted = {f"{key}={value}".encode() for key, value in variables.items()}
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted <= set(path.read_bytes().split(b"\0")):
                found.append(int(path.parent.name))
    return [pid for pid in found if pid != os.getpid()]


def kill_all(find: Callable[[], list[int]]) -> None:
    """Kill processes until there are none."""
    for _ in range(20):
        if not (found := find()):
            return
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def name_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


if __name__ == "__main__":
    mind(Path(sys.argv[1]))
