# SPDX-License-Identifier: BSL-1.0
"""A training of two ranks, one on each node of a real SLURM: ranks_test.py mpirun|pmix PROGRAM MPIRUN SCRATCH. Skipped without root, slurm-wlm and munge.

mpirun: a script in which Open MPI's mpirun starts the ranks. pmix: a script that `submit` writes, in which srun starts them itself; skipped without
PMIx's library. The signal to requeue stops both; rank 0 alone requeues the job, and the training ends with the bytes of one that was not interrupted.
"""

import os
import subprocess
import sys

from own_slurm import OwnSlurm, need_slurm
from slurm_test import Cluster, check, read, same_run, work_in

TRAIN = ["train", "--events", "events", "--train", "1-11", "--validate", "12", "--threads", "1", "--epochs", "40"]


def by_mpirun(cluster, mpirun):
    """The job, and the flag with which scancel signals mpirun alone, which hands it on."""
    on = ["sh", "-c", '\'echo "a rank on $SLURMD_NODENAME"; exec "$@"\'', "rank"]
    with open("ranks.sbatch", "w", encoding="utf-8") as script:
        script.write("#!/bin/bash\n#SBATCH --nodes=2 --ntasks=2 --requeue --open-mode=append --time=5 --output=ranks-%j.out --job-name=ranks\n")
        script.write(f"exec {' '.join([mpirun, '--map-by', 'node', '-n', '2', *on, cluster.find_tracks, *TRAIN, '--out', 'run'])}\n")
    return cluster.slurm.call("sbatch", "--parsable", "ranks.sbatch").strip(), ["--batch"]


def by_srun(cluster, _):
    """The same; SLURM's signal goes to the ranks without a word."""
    tried = subprocess.run(["srun", "--mpi=pmix", "true"], env=cluster.slurm.environment, text=True, capture_output=True, timeout=60, check=False)
    if "can not load PMIx library" in tried.stderr:
        print("[skipped] SLURM finds no PMIx: apt-get install libpmix-dev")
        sys.exit(0)
    job = cluster.submit("--time", "5", "--job-name", "ranks", "--sbatch=--nodes=2", "--sbatch=--ntasks=2", "--setup", "export SLURM_MPI_TYPE=pmix",
                         "--", *TRAIN, "--out", "run")  # fmt: skip
    return job, []


def main(by, program, mpirun, scratch):
    need_slurm()
    program = os.path.abspath(program)
    work_in(scratch)
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    with OwnSlurm(cpus=1, nodes=2) as slurm:
        cluster = Cluster(slurm, program)
        subprocess.run([program, "simulate", "--out", "events", "--select", "1-12", "--particles", "60", "--quiet"], check=True)
        job, whom = {"mpirun": by_mpirun, "pmix": by_srun}[by](cluster, mpirun)
        cluster.wait_for_logs("run", 15)
        check(slurm.job(job)["NodeList"] == "node[1-2]", "the job has both nodes")
        if by == "pmix":
            step = slurm.call("scontrol", "--oneliner", "show", "step", f"{job}.0")
            check("NodeList=node[1-2]" in step and "Tasks=2" in step, f"one rank on each node: {step}")
        slurm.call("scancel", "--signal=USR1", *whom, job)
        cluster.wait_for_requeue(job)
        slurm.release(job)
        cluster.until(lambda: cluster.state(job) not in ("PENDING", "RUNNING", "COMPLETING"), f"job {job} ends")
        cluster.show(job)
        output = read(f"ranks-{job}.out").decode()
        cluster.say(output)
        check(cluster.state(job) == "COMPLETED" and slurm.job(job)["Restarts"] == "1", "the job ends in its second allocation")
        check(output.count("2 processes of 1 threads") == 2, "two ranks train together in each")
        check(by == "pmix" or output.count("a rank on node1\n") == output.count("a rank on node2\n") == 2, "one rank on each node")
        check(output.count("stopped by the signal to requeue\n") == 1, "one process requeues")  # what it says then mpirun may not hand on any more
    subprocess.run([mpirun, "--oversubscribe", "-n", "2", program, *TRAIN, "--out", "whole"], check=True, capture_output=True)
    same_run("run", "whole")


if __name__ == "__main__":
    main(*sys.argv[1:])
