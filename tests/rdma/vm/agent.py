"""Inside a machine that is one of several: runs what the outside says, and tells what became of it.

Both directions are lines of JSON through the virtio port "control". In come
{"start": 7, "command": "...", "environment": {...}}, {"signal": 9, "to": 7} and {"stop": true}; out
go {"ready": true}, {"from": 7, "out": "..."} ("err" likewise) and {"from": 7, "exit": 0}.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

LONGEST_PIECE = 65536


def find_port(name: str) -> str:
    for entry in pathlib.Path("/sys/class/virtio-ports").iterdir():
        if (entry / "name").read_text(encoding="ascii").strip() == name:
            return f"/dev/{entry.name}"
    sys.exit(f"agent: there is no virtio port {name}")


class Agent:
    def __init__(self) -> None:
        self._port = os.open(find_port("control"), os.O_RDWR)
        self._lock = threading.Lock()
        self._jobs: dict[int, subprocess.Popen] = {}

    def serve(self) -> None:
        self._say({"ready": True})
        rest = b""
        while piece := os.read(self._port, LONGEST_PIECE):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                order = json.loads(line)
                if "stop" in order:
                    self._end_all()
                    return
                self._obey(order)
        self._end_all()

    def _obey(self, order: dict) -> None:
        if "start" in order:
            self._start(order["start"], order["command"], order["environment"])
        elif job := self._jobs.get(order["to"]):
            try:
                os.killpg(job.pid, order["signal"])
            except ProcessLookupError:
                pass  # it has just ended, and says so itself

    def _start(self, number: int, command: str, environment: dict[str, str]) -> None:
        # exec: a signal to the job is one to its program.
        job = subprocess.Popen(
            ["/bin/sh", "-c", command], env=os.environ | environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self._jobs[number] = job
        threading.Thread(target=self._follow, args=(number, job), daemon=True).start()

    def _follow(self, number: int, job: subprocess.Popen) -> None:
        streams = {"out": job.stdout, "err": job.stderr}
        pumps = [threading.Thread(target=self._pass_on, args=(number, name, stream), daemon=True)
                 for name, stream in streams.items()]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        self._say({"from": number, "exit": job.wait()})

    def _pass_on(self, number: int, name: str, stream) -> None:
        while piece := os.read(stream.fileno(), LONGEST_PIECE):
            self._say({"from": number, name: piece.decode(errors="replace")})

    def _say(self, news: dict) -> None:
        line = json.dumps(news).encode() + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._port, line):]

    def _end_all(self) -> None:
        for job in self._jobs.values():
            try:
                os.killpg(job.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


if __name__ == "__main__":
    Agent().serve()
