"""Several machines on one wire, and the words to tell them what to do.

    with Cluster(image, hosts=2, device="rxe", seconds=300) as cluster:
        cluster.hosts[1].run("tc qdisc add dev eth0 root netem loss 1%")
        ranks = cluster.start_ranks(["build/bench/all_reduce_perf"], 4)
        cluster.hosts[0].link(up=False)     # as if the cable were pulled
        codes = [rank.wait() for rank in ranks]

Each machine runs agent.py, which starts commands and passes on what they say. The wire is a socket
between the two QEMUs. Whatever waits ends at the cluster's deadline or when a machine is gone, with
CannotGoOn; the consoles are then the evidence.
"""

import itertools
import json
import os
import pathlib
import secrets
import shlex
import signal
import socket
import threading
import time

import guest
import prepare

ADDRESS = "10.99.0.{}"
PORT = 20321  # where rank 0 listens


class CannotGoOn(Exception):
    """A machine died, or time is up."""

    def __init__(self, text: str, timed_out: bool) -> None:
        super().__init__(text)
        self.timed_out = timed_out


class Job:
    """A command on one of the machines."""

    def __init__(self, host: "Host", number: int, command: str, echo: bool) -> None:
        self.host = host
        self.command = command
        self.out = ""
        self.err = ""
        self.started = time.monotonic()
        self.ended: float | None = None  # by the clock of `started`
        self.code: int | None = None
        self._number = number
        self._echo = echo

    def wait(self) -> int:
        """Its exit code; -N if signal N ended it."""
        self.host.until(lambda: self.code is not None, f"`{self.command}` was not done")
        assert self.code is not None
        return self.code

    def wait_for(self, text: str) -> None:
        """Until it has said `text`, or has ended."""
        self.host.until(lambda: text in self.out + self.err or self.code is not None,
                        f"`{self.command}` has not said {text!r}")

    def signal(self, number: int) -> None:
        self.host.say({"signal": int(number), "to": self._number})

    def hear(self, news: dict) -> None:
        self.out += news.get("out", "")
        self.err += news.get("err", "")
        if self._echo:
            for stream, name in ((1, "out"), (2, "err")):
                os.write(stream, news.get(name, "").encode())
        if "exit" in news:
            self.ended = time.monotonic()
            self.code = news["exit"]


class Host:
    """One machine, booted; made by Cluster."""

    def __init__(self, number: int, address: str, machine: guest.Machine, deadline: float,
                 control: socket.socket, monitor: socket.socket) -> None:
        self.number = number
        self.address = address
        self.machine = machine
        self._deadline = deadline
        self._control = control
        self._monitor = monitor.makefile("rw", encoding="utf-8")
        self._changed = threading.Condition()
        self._jobs: dict[int, Job] = {}
        self._ready = False
        self._numbers = itertools.count(1)
        threading.Thread(target=self._listen, daemon=True).start()

    def wait_until_ready(self) -> None:
        self.until(lambda: self._ready, "it has not booted")
        self._monitor.readline()  # QEMU's greeting
        self._ask_monitor("qmp_capabilities")

    def start(self, command: str, environment: dict[str, str] | None = None,
              echo: bool = False) -> Job:
        number = next(self._numbers)
        job = self._jobs[number] = Job(self, number, command, echo)
        self.say({"start": number, "command": command, "environment": environment or {}})
        return job

    def run(self, command: str) -> str:
        """Its output. It must succeed."""
        job = self.start(command)
        if job.wait() != 0:
            raise RuntimeError(f"host {self.number}: `{command}` failed ({job.code}):\n"
                               f"{job.out}{job.err}")
        return job.out

    def link(self, up: bool) -> None:
        """Plugs the cable in, or pulls it: the machine sees its carrier come and go."""
        self._ask_monitor("set_link", name="wire", up=up)

    def stop(self) -> None:
        try:
            self.say({"stop": True})
        except OSError:
            pass  # then it is gone

    def say(self, order: dict) -> None:
        self._control.sendall(json.dumps(order).encode() + b"\n")

    def until(self, condition, complaint: str) -> None:
        with self._changed:
            while not condition():
                if self.machine.is_gone():
                    raise CannotGoOn(f"host {self.number} died; {complaint}", False)
                if time.monotonic() > self._deadline:
                    raise CannotGoOn(f"time is up: on host {self.number}, {complaint}", True)
                self._changed.wait(0.2)

    def _listen(self) -> None:
        for line in self._control.makefile("r", encoding="utf-8"):
            news = json.loads(line)
            with self._changed:
                if "ready" in news:
                    self._ready = True
                else:
                    self._jobs[news["from"]].hear(news)
                self._changed.notify_all()

    def _ask_monitor(self, command: str, **arguments) -> None:
        self._monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._monitor.flush()
        # Events come in between.
        while "return" not in (answer := json.loads(self._monitor.readline())):
            if "error" in answer:
                raise RuntimeError(f"QEMU: {command}: {answer['error']}")


class Cluster:
    """Boots the machines; at its end they are gone."""

    def __init__(self, image: prepare.Image, hosts: int, device: str, seconds: float,
                 accel: str = "auto", cpus: int = 2, memory: int = 2000) -> None:
        if hosts not in (1, 2):
            raise ValueError("a wire has two ends: 1 or 2 hosts")
        if accel == "auto":
            accel = guest.acceleration(image)
        self.device = device
        self.hosts: list[Host] = []
        deadline = time.monotonic() + seconds
        agent = pathlib.Path(__file__).resolve().with_name("agent.py")
        wire = socket.socketpair() if hosts == 2 else (None, None)
        for number, end in zip(range(hosts), wire):
            control, monitor = socket.socketpair(), socket.socketpair()
            address = ADDRESS.format(number + 1)
            machine = guest.Machine(
                image, accel, cpus, memory, ["python3", "-B", str(agent)], None, None,
                settings={"device": device, "address": address, "host": str(number),
                          "interface": "eth0" if end else "v0"},
                sockets={"control": control[1], "monitor": monitor[1]} |
                        ({"wire": end} if end else {}))
            self.hosts.append(Host(number, address, machine, deadline, control[0], monitor[0]))

    def __enter__(self) -> "Cluster":
        try:
            for host in self.hosts:
                host.wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_) -> None:
        for host in self.hosts:
            host.stop()
        for host in self.hosts:
            host.machine.wait(10)

    def kill(self) -> None:
        for host in self.hosts:
            host.machine.kill()

    def consoles(self) -> str:
        return "".join(f"--- console of host {host.number} {'-' * 50}\n{host.machine.console()}\n"
                       for host in self.hosts)

    def start_ranks(self, command: list[str], ranks: int, environment: dict[str, str] | None = None,
                    echo: bool = False) -> list[Job]:
        """`command` as so many ranks, dealt round, linked by verbs unless the environment says
        otherwise."""
        common = {"PACELINE_SIZE": str(ranks),
                  "PACELINE_ROOT": f"{self.hosts[0].address}:{PORT}",
                  "PACELINE_SECRET": secrets.token_hex(16),
                  # Processors are emulated: nobody is dead who was not heard of for a while.
                  "PACELINE_HEARTBEAT_TIMEOUT": "60",
                  "PACELINE_TRANSPORT": "verbs"}
        own = {name: value for name, value in os.environ.items() if name.startswith("PACELINE_")}
        common |= own | (environment or {})
        words = "exec " + shlex.join(command)
        return [self.hosts[rank % len(self.hosts)].start(
                    words, common | {"PACELINE_RANK": str(rank)}, echo)
                for rank in range(ranks)]


def run(image: prepare.Image, options) -> int:
    """The command as ranks; the exit code of the first that failed."""
    cluster = Cluster(image, options.hosts, options.device, options.timeout, options.accel,
                      options.cpus, options.memory)

    def leave(number: int, _frame) -> None:
        # QEMU dies with us. Not by waiting for it: the signal may have come while we do that, and
        # hold what waiting takes.
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        with cluster:
            for order in options.setup:
                who, colon, command = order.partition(":")
                chosen = cluster.hosts
                if colon and who.isdigit():
                    chosen = [cluster.hosts[int(who)]]
                else:
                    command = order
                for host in chosen:
                    host.run(command)
            jobs = cluster.start_ranks(options.command, options.ranks or options.hosts, echo=True)
            codes = [job.wait() for job in jobs]
            if options.console:
                guest.show(cluster.consoles())
            return next((code if code > 0 else 128 - code for code in codes if code != 0), 0)
    except CannotGoOn as trouble:
        cluster.kill()
        guest.show(cluster.consoles())
        prepare.say(str(trouble))
        return guest.TIMED_OUT if trouble.timed_out else guest.MACHINE_FAILED
    except RuntimeError as failure:
        cluster.kill()
        prepare.say(str(failure))
        return guest.MACHINE_FAILED
