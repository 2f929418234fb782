#!/usr/bin/env python3
"""What two machines do when the wire between them is bad, broken, or one of them is gone.

    wire_test.py CASE --device rxe|siw --programs FOLDER [--timeout S]
    CASE: rough, broken, gone, killed, linking, cycles or panic

Each boots two machines and goes through its cases; --programs is where every_collective and lasting
are. A case that fails shows what its ranks said and the consoles of the machines.
"""

import argparse
import os
import re
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "vm"))

import cluster  # noqa: E402
import guest  # noqa: E402
import prepare  # noqa: E402

# Verbs give up after 7 times 1 s (VerbsOptions); emulated timers are late.
RETRY_SECONDS = 30
# The end of a process is told at once, by its sockets; a quarter of a minute is a busy machine's.
DEATH_SECONDS = 15
# How many of the states of making a link a rank is killed in.
STATES = 24


class Case:
    """The machines, the programs, and what each case checks with."""

    def __init__(self, machines: cluster.Cluster, programs: str) -> None:
        self.machines = machines
        self.programs = programs
        self.jobs: list[cluster.Job] = []

    def start(self, *words: str, **environment: str) -> list[cluster.Job]:
        program = os.path.join(self.programs, words[0])
        self.jobs = self.machines.start_ranks([program, *words[1:]], 2, environment)
        return self.jobs

    def require(self, condition: bool, what: str) -> None:
        if condition:
            return
        said = "".join(f"\n--- rank {number} (code {job.code})\n{job.out}{job.err}"
                       for number, job in enumerate(self.jobs))
        raise AssertionError(what + said)

    def require_success(self, what: str) -> None:
        for rank, job in enumerate(self.jobs):
            self.require(job.wait() == 0, f"{what}: rank {rank} failed")

    def on_all(self, command: str) -> None:
        for host in self.machines.hosts:
            host.run(command)

    def wait_until_linked(self) -> None:
        for job in self.jobs:
            job.wait_for("linked")
            self.require("linked" in job.out, "a rank did not get as far as its first result")

    def require_error(self, jobs: list[cluster.Job], since: float, seconds: float,
                      pattern: str) -> list[float]:
        """All of `jobs` end with an error of that pattern; after how long each."""
        taken = []
        for job in jobs:
            self.require(job.wait() == 3, "a rank did not end with an error")
            self.require(re.search(pattern, job.err) is not None,
                         f"a rank's error does not say {pattern!r}")
            assert job.ended is not None
            taken.append(job.ended - since)
        self.require(max(taken) <= seconds, f"a rank heard of it after {max(taken):.1f} s")
        return taken

    def require_no_missing_receive(self) -> None:
        """A notification that finds no receive is a defect of flow control on any wire."""
        folder = "/sys/class/infiniband/rxe0/ports/1/hw_counters"
        for host in self.machines.hosts:
            counters = host.run(f"cd {folder} && grep . *rnr*").split()
            self.require(len(counters) > 0, "rxe counts no RNR any more")
            self.require(all(line.endswith(":0") for line in counters),
                         f"host {host.number} counts receives that were missing: {counters}")


def report(text: str) -> None:
    print(text, flush=True)


def rough(case: Case) -> None:
    """Loss, delay and another order: slower, and right. RoCE repeats everything from the first packet
    that is out of order, and gives up after seven times without progress: so not every fourth."""
    for trouble in ("loss 1%", "delay 50ms", "delay 5ms reorder 2%"):
        case.on_all(f"tc qdisc add dev eth0 root netem {trouble}")
        start = time.monotonic()
        case.start("every_collective", "sums", "1", "37", "3001", "100000",
                   PACELINE_TIMEOUT="200")
        case.require_success(trouble)
        case.on_all("tc qdisc del dev eth0 root")
        report(f"{trouble}: every collective is right, {time.monotonic() - start:.0f} s")
    if case.machines.device == "rxe":
        case.require_no_missing_receive()


def cut(case: Case, match: str = "protocol all flower") -> None:
    """What matches, or everything, is dropped where it comes in. Not by pulling the cable while rxe
    sends: what the interface refuses it tries again at once, for ever, in a soft interrupt."""
    case.on_all("tc qdisc add dev eth0 clsact && "
                f"tc filter add dev eth0 ingress {match} action drop")


def heal(case: Case) -> None:
    case.on_all("tc qdisc del dev eth0 clsact")


def survive(case: Case, words: tuple[str, ...], pull: bool) -> list[cluster.Job]:
    """Ranks that are linked go on after a wire that was down for 2 s."""
    jobs = case.start(*words, PACELINE_HEARTBEAT_TIMEOUT="20")
    case.wait_until_linked()
    for up in (False, True):
        if pull:
            case.machines.hosts[1].link(up)
        elif up:
            heal(case)
        else:
            cut(case)
        time.sleep(2)
    time.sleep(5)
    case.require(all(job.code in (None, 0) for job in jobs), "down for 2 s: a rank failed")
    return jobs


def broken(case: Case) -> None:
    """A wire that comes back in time, and RDMA's own packets dropped."""
    survive(case, ("lasting", "idle", "12"), pull=True)
    case.require_success("the cable was out for 2 s while nothing was sent")
    report("cable out for 2 s, idle: survived")

    rxe = case.machines.device == "rxe"
    jobs = survive(case, ("lasting", "transfer"), pull=not rxe)
    report("wire down for 2 s, sending: survived")
    if rxe:
        case.require_no_missing_receive()
        start = time.monotonic()
        cut(case, "protocol ip flower ip_proto udp dst_port 4791")  # the bootstrap's TCP goes on
        taken = case.require_error(jobs, start, RETRY_SECONDS, "does not answer|rank [01]")
        case.require(any("does not answer" in job.err for job in jobs),
                     "no rank says that its peer does not answer")
        heal(case)
        report("UDP 4791 dropped: every rank knows after "
               + ", ".join(f"{seconds:.1f} s" for seconds in taken))


def gone(case: Case) -> None:
    """A wire that does not come back."""
    jobs = case.start("lasting", "transfer", PACELINE_HEARTBEAT_TIMEOUT="20")
    case.wait_until_linked()
    # On iWARP it is the heartbeat that notices: TCP goes on for a quarter of an hour.
    start = time.monotonic()
    cut(case)
    taken = case.require_error(jobs, start, RETRY_SECONDS + 20, "does not answer|rank [01]")
    report("wire down for good: every rank knows after "
           + ", ".join(f"{seconds:.1f} s" for seconds in taken))


def killed(case: Case) -> None:
    """SIGKILL of rank 1 before the ranks have met, while data travels, and in between."""
    moments = {
        "meeting": (("lasting", "transfer"), 0.5),
        "sending": (("lasting", "transfer"), None),
        "idle": (("lasting", "idle", "6"), None),
    }
    for name, (words, after) in moments.items():
        jobs = case.start(*words, PACELINE_TIMEOUT="30")
        if after is None:
            case.wait_until_linked()
        else:
            time.sleep(after)
        start = time.monotonic()
        jobs[1].signal(signal.SIGKILL)
        # Ranks that have not met yet wait for each other as long as PACELINE_TIMEOUT says; an idle
        # one learns of it at its next call.
        limit = {"meeting": 30.0, "sending": 0.0, "idle": 6.0}[name] + DEATH_SECONDS
        taken = case.require_error(jobs[:1], start, limit, "rank 1|1 of 2|ranks")
        report(f"rank 1 killed while {name}: rank 0 knows after {taken[0]:.1f} s")


def linking(case: Case) -> None:
    """SIGKILL of rank 1 before requests to its device (die_at.cpp), from opening it to the link."""
    meeting_seconds = 15.0  # how long a rank waits for one that died before they had met
    die = {"LD_PRELOAD": os.path.join(case.programs, "libdie_at.so"), "DIE_RANK": "1",
           "PACELINE_TIMEOUT": str(meeting_seconds)}
    jobs = case.start("lasting", "transfer", DIE_AT="0", **die)
    case.wait_until_linked()
    for job in jobs:
        job.signal(signal.SIGKILL)
        job.wait()
    count = jobs[1].out.partition("linked")[0].count("request ")
    case.require(count > 10, f"a link takes {count} requests to the device")
    waited: dict[int, float] = {}
    told: dict[int, float] = {}
    for number in sorted({round(1 + (count - 1) * i / (STATES - 1)) for i in range(STATES)}):
        jobs = case.start("lasting", "transfer", DIE_AT=str(number), **die)
        case.require(jobs[1].wait() == -signal.SIGKILL, f"rank 1 did not die at request {number}")
        jobs[0].wait()
        assert jobs[1].ended is not None
        had_met = "did not arrive" not in jobs[0].err
        limit = DEATH_SECONDS + (0.0 if had_met else meeting_seconds)
        seconds, = case.require_error(jobs[:1], jobs[1].ended, limit, "rank 1 ")
        (told if had_met else waited)[number] = seconds
    case.require(len(told) > 3, f"rank 1 had met rank 0 in {len(told)} cases only")
    report(f"a link takes {count} requests to the device. Rank 1 killed before one of them, rank 0 "
           "knows after s: " + ", ".join(f"{number}: {seconds:.1f}"
                                         for number, seconds in (waited | told).items())
           + f"; in {len(waited)} of these they had not met yet")


def resources(host: cluster.Host) -> str:
    return host.run("rdma resource show").strip()


def cycles(case: Case, count: int = 200) -> None:
    """So many communicators one after the other leave nothing behind."""
    before = [resources(host) for host in case.machines.hosts]
    jobs = case.start("lasting", "cycles", str(count))
    for job in jobs:
        job.wait_for("last:")
    within = [resources(host) for host in case.machines.hosts]
    case.require_success(f"{count} communicators")
    for job in jobs:
        first, last = (re.search(rf"{word}: (\d+) descriptors, (\d+) mappings", job.out)
                       for word in ("first", "last"))
        case.require(first is not None and last is not None, "a rank did not say what it has")
        assert first is not None and last is not None
        case.require(first[1] == last[1], f"descriptors: {first[1]} became {last[1]}")
        # Memory allocators map a little more, or less, now and then.
        case.require(abs(int(first[2]) - int(last[2])) <= 10,
                     f"mappings: {first[2]} became {last[2]}")
    # librdmacm keeps a device that it has opened as long as the process lives.
    kept = 1 if case.machines.device == "siw" else 0
    expected = [text.replace("ctx 0", f"ctx {kept}") for text in before]
    case.require(expected == within, f"RDMA objects: {before} became {within}")
    report(f"{count} communicators: descriptors {first[1]} before and after, {within[0]}")


def panic(case: Case) -> None:
    """A machine that dies fails what waits for it, and its console says why."""
    host = case.machines.hosts[1]
    job = host.start("sleep 1; echo c > /proc/sysrq-trigger")
    start = time.monotonic()
    try:
        job.wait()
    except cluster.CannotGoOn as trouble:
        case.require(not trouble.timed_out, "it was waited for until time was up")
    else:
        case.require(False, "the machine did not die")
    case.require("sysrq triggered crash" in host.machine.console().lower(),
                 "the console does not say why:\n" + host.machine.console())
    case.machines.kill()
    report(f"a machine that panics is noticed after {time.monotonic() - start:.1f} s")


CASES = {"rough": rough, "broken": broken, "gone": gone, "killed": killed, "linking": linking,
         "cycles": cycles, "panic": panic}


def main() -> int:
    parser = argparse.ArgumentParser(prog="wire_test.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--device", choices=["rxe", "siw"], default="rxe")
    parser.add_argument("--programs", required=True)
    parser.add_argument("--timeout", type=float, default=600)
    options = parser.parse_args()
    machines = cluster.Cluster(prepare.image(), 2, options.device, options.timeout)

    def leave(number: int, _frame) -> None:
        # QEMU dies with us. Not by waiting for it: the signal may have come while we do that, and
        # hold what waiting takes.
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        with machines:
            CASES[options.case](Case(machines, os.path.abspath(options.programs)))
        return 0
    except (AssertionError, RuntimeError, cluster.CannotGoOn) as failure:
        machines.kill()
        guest.show(machines.consoles())
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
