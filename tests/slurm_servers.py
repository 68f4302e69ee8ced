"""A real Slurm cluster of one node for the tests of one process, which they start and end themselves."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from servers import free_port

SECONDS = 120  # in which it has to begin
CORES = 64  # as it believes: jobs of tests sleep
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=10
ReturnToService=2
JobCompType=jobcomp/filetxt
JobCompLoc={root}/completed.txt
MinJobAge={forget}
JobRequeue={requeue}
EnforcePartLimits=ALL
KillWait=2
MessageTimeout=5
MailProg=/bin/true
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,sched_max_job_start=0,default_queue_depth=1000
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=4000 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=60 State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=60 State=UP PriorityTier=9
"""


def programs():
    """Skip the test where Slurm is missing, which CI takes for a failure."""
    for name in ("slurmctld", "slurmd", "sbatch", "squeue", "scancel"):
        if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            pytest.skip("no Slurm here: apt-get install slurm-wlm")


class SlurmServer:
    """A controller and a node, with a directory of their own."""

    def __init__(self, *, forget=300, requeue=0):
        programs()
        self.root = Path(tempfile.mkdtemp(prefix="aiodag-slurm-"))
        for name in ("state", "spool", "shared"):
            (self.root / name).mkdir()
        self.file = self.root / "slurm.conf"
        self.host = os.uname().nodename.partition(".")[0]
        self.file.write_text(
            CONFIGURATION.format(
                host=self.host,
                user=pwd.getpwuid(os.getuid()).pw_name,
                controller=free_port(),
                node=free_port(),
                root=self.root,
                cores=CORES,
                forget=forget,
                requeue=requeue,
            )
        )
        self.processes = {}
        # Ends them with this process, however that ends: the pipe is closed then.
        end = 'cat; for name in slurmd slurmctld; do kill -9 $(cat "$0/$name.pid"); done'
        # What watches a job tells its end to the controller, and would try that for ever.
        end += '; for each in /proc/[0-9]*; do case $(readlink "$each/exe") in */slurmstepd*)'
        end += ' ls -l "$each/fd" | grep -qF "$0/" && kill -9 "${each#/proc/}" ;; esac; done; rm -rf "$0"'
        self.watcher = subprocess.Popen(
            ["sh", "-c", end, self.root],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def env(self):
        return {**os.environ, "SLURM_CONF": str(self.file)}

    def start(self):
        self.begin("slurmctld")
        self.begin("slurmd")
        self.wait_until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"))
        return self

    def begin(self, name):
        """Start one of the two."""
        log = (self.root / f"{name}.log").open("ab")
        with log:
            self.processes[name] = subprocess.Popen(
                [f"/usr/sbin/{name}", "-D", "-f", self.file],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=self.env,
            )

    def stop(self, name, how=signal.SIGTERM):
        """End one of the two."""
        process = self.processes.pop(name)
        process.send_signal(how)
        process.wait()

    def wait_until(self, true):
        until = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < until, (self.root / "slurmctld.log").read_text()[-2000:]
            time.sleep(0.02)  # real time: Slurm is another process

    def ask(self, *args):
        """Return what one of its programs says."""
        done = subprocess.run(args, env=self.env, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def heal(self):
        """Have the node take jobs again, and end those of former tests."""
        self.ask("scancel", "--me")
        self.ask("scontrol", "update", f"NodeName={self.host}", "State=RESUME")

    def remove(self):
        if len(self.processes) == 2:
            with suppress(AssertionError):
                self.heal()
                self.wait_until(lambda: self.ask("squeue", "--noheader", "--format=%i") == "")
        for name in list(self.processes):
            self.stop(name, signal.SIGKILL)
        with suppress(OSError):
            self.watcher.stdin.close()
        self.watcher.wait()
