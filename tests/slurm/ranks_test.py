# SPDX-License-Identifier: BSL-1.0
"""Two processes under mpirun in a job of a real SLURM: ranks_test.py PROGRAM MPIRUN SCRATCH. Skipped without root, slurm-wlm and munge.

The signal to requeue stops both twice; rank 0 alone requeues the job, and the training ends with the bytes of one that was not interrupted.
"""

import os
import shutil
import subprocess
import sys

from one_node import OneNode, missing
from slurm_test import Cluster, check, read, same_run

TRAIN = ["train", "--events", "events", "--train", "1-11", "--validate", "12", "--threads", "1", "--epochs", "40"]


def main(program, mpirun, scratch):
    if why := missing():
        print(f"[skipped] {why}")
        return
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    os.chdir(scratch)
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    subprocess.run([program, "simulate", "--out", "events", "--select", "1-12", "--particles", "60", "--quiet"], check=True)
    start = [mpirun, "--oversubscribe", "-n", "2", program, *TRAIN, "--out"]
    subprocess.run([*start, "whole"], check=True, capture_output=True)
    with open("ranks.sbatch", "w", encoding="utf-8") as script:
        script.write("#!/bin/bash\n#SBATCH --ntasks=2 --requeue --open-mode=append --time=5 --output=ranks-%j.out --job-name=ranks\n")
        script.write(f"exec {' '.join([*start, 'run'])}\n")
    with OneNode(cpus=2) as slurm:
        cluster = Cluster(slurm, program)
        job = slurm.call("sbatch", "--parsable", "ranks.sbatch").strip()
        for lines in (10, 20):
            cluster.wait_for_logs("run", lines)
            slurm.call("scancel", "--signal=USR1", "--full", job)
            cluster.wait_for_requeue(job)
            slurm.release(job)
        cluster.until(lambda: cluster.state(job) not in ("PENDING", "RUNNING", "COMPLETING"), f"job {job} ends")
        cluster.show(job)
        output = read(f"ranks-{job}.out").decode()
        cluster.say(output)
        check(cluster.state(job) == "COMPLETED" and slurm.job(job)["Restarts"] == "2", "the job ends in its third allocation")
        check(output.count(f"requeued: job {job} goes on by itself") == 2, "one process requeues each time")
    same_run("run", "whole")


if __name__ == "__main__":
    main(*sys.argv[1:])
