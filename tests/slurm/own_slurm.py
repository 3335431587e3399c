# SPDX-License-Identifier: BSL-1.0
"""A SLURM of this machine in a folder of its own: own key, ports, state and configuration, no cgroups, nothing of the system's SLURM touched. Several
nodes are several slurmd.

    with OwnSlurm(cpus=2) as slurm:
        slurm.call("sbatch", "script.sh")

Needs root, munge and slurm-wlm (Debian). Daemons run in the foreground as children: they end with the block, also after an error, and with this process.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel", "sinfo")


def missing():
    """Why it cannot be brought up here; empty where it can."""
    if os.geteuid() != 0:
        return "a SLURM of this machine needs root"
    lacking = [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]
    return f"no {', '.join(lacking)}: apt-get install slurm-wlm munge" if lacking else ""


def need_slurm():
    """Ends the test as skipped where it cannot be brought up."""
    if why := missing():
        print(f"[skipped] {why}")
        sys.exit(0)


def search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class OwnSlurm:
    """`cpus` are those of each node."""

    def __init__(self, cpus, nodes=1):
        self.cpus = cpus
        self.nodes = [f"node{n + 1}" for n in range(nodes)]
        self.daemons = []

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="slurm-")  # short: a socket's path has at most 107 characters
        os.chmod(self.folder, 0o755)
        try:
            self.bring_up()
        except BaseException:
            self.tear_down(failed=True)
            raise
        return self

    def __exit__(self, kind, *_):
        self.tear_down(failed=kind not in (None, SystemExit))

    # ---- what tests use ------------------------------------------------------------------------------------------------------------------
    def call(self, *command, ok=True, **more):
        """Runs a program of SLURM's; its output."""
        done = subprocess.run(command, text=True, capture_output=True, env=self.environment, timeout=60, **more)
        if ok and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def job(self, job):
        """What SLURM says of a job or a task of an array, by its names (JobState, Restarts, ExitCode, …)."""
        words = self.call("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def release(self, job):
        """Ends the two minutes for which SLURM holds a job back after a requeue, but for some seconds: slurmd, whose clock counts whole ones, takes a
        job that begins in the second in which it was ended for the one that was ended."""
        time.sleep(3)
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now")

    def record(self):
        """A line for each allocation that has ended."""
        wanted = ("JobId", "Name", "JobState", "TimeLimit", "StartTime", "EndTime", "ExitCode", "DerivedExitCode")
        with open(self.path("log", "jobs"), encoding="utf-8") as lines:
            return "\n".join(" ".join(word for word in line.split() if word.split("=")[0] in wanted) for line in lines)

    # ---- the daemons ---------------------------------------------------------------------------------------------------------------------
    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def bring_up(self):
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "MUNGE"))}
        self.environment |= {"PATH": search_path(), "SLURM_CONF": self.path("slurm.conf")}
        for name in ("munge", "state", "spool", "log"):
            os.mkdir(self.path(name))
        with open(os.open(self.path("munge", "key"), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as key:
            key.write(os.urandom(1024))
        host = socket.gethostname().split(".")[0]
        ctld_port, *node_ports = free_ports(1 + len(self.nodes))
        here = f"NodeHostname={host} NodeAddr=127.0.0.1 CPUs={self.cpus} RealMemory=500 State=UNKNOWN"
        nodes = "\n".join(f"NodeName={node} Port={port} {here}" for node, port in zip(self.nodes, node_ports, strict=True))
        with open(self.path("slurm.conf"), "w", encoding="utf-8") as conf:
            conf.write(
                f"""ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={self.path("munge", "socket")}
CredType=cred/munge
StateSaveLocation={self.path("state")}
SlurmdSpoolDir={self.path("spool")}/%n
TmpFS={self.path("spool")}/%n
SlurmctldPidFile={self.path("slurmctld.pid")}
SlurmdPidFile={self.path("slurmd.pid")}.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={self.path("log", "jobs")}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
KillWait=10
ReturnToService=2
{nodes}
PartitionName=all Nodes={",".join(self.nodes)} Default=YES MaxTime=INFINITE State=UP
"""
            )
        self.start("munged", "--foreground", "--force", f"--key-file={self.path('munge', 'key')}", f"--socket={self.path('munge', 'socket')}",
                   f"--pid-file={self.path('munge', 'pid')}", f"--log-file={self.path('munge', 'log')}", f"--seed-file={self.path('munge', 'seed')}")  # fmt: skip
        self.until(lambda: os.path.exists(self.path("munge", "socket")), "munged's socket")
        self.start("slurmctld", "-D", "-f", self.path("slurm.conf"))
        for node in self.nodes:
            os.mkdir(self.path("spool", node))
            self.start("slurmd", "-D", "-f", self.path("slurm.conf"), "-N", node)
        ready = ["idle"] * len(self.nodes)
        self.until(lambda: self.call("sinfo", "--noheader", "--Node", "--format=%t", ok=False).split() == ready, "idle nodes")

    def start(self, program, *arguments):
        log = open(self.path("log", program), "ab")
        self.daemons.append((program, subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                       env=self.environment, start_new_session=True, preexec_fn=end_with_parent)))  # fmt: skip

    def until(self, happened, what, seconds=60):
        end = time.monotonic() + seconds
        while not happened():
            for program, daemon in self.daemons:
                if daemon.poll() is not None:
                    raise AssertionError(f"{program} ended with {daemon.returncode}")
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what}")
            time.sleep(0.1)

    def tear_down(self, failed):
        with contextlib.suppress(Exception):
            self.call("scancel", "--user=root", "--signal=KILL", "--full", ok=False)
            self.call("scancel", "--user=root", ok=False)
            end = time.monotonic() + 10
            while self.call("squeue", "--noheader", ok=False) and time.monotonic() < end:
                time.sleep(0.2)
        for _, daemon in reversed(self.daemons):
            daemon.terminate()
        for _, daemon in reversed(self.daemons):
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.kill_what_is_left()
        if failed:
            for program in dict.fromkeys(name for name, _ in self.daemons):
                with contextlib.suppress(OSError), open(self.path("log", program), encoding="utf-8", errors="replace") as log:
                    print(f"--- {program}\n{log.read()[-4000:]}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill_what_is_left(self):
        """Processes that were started with this configuration (steps and jobs whose daemon is gone)."""
        mark = f"SLURM_CONF={self.path('slurm.conf')}".encode()
        for process in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{process}/environ", "rb") as environ:
                    ours = mark in environ.read().split(b"\0")
                if ours and int(process) != os.getpid():
                    os.kill(int(process), signal.SIGKILL)
