"""Boots the machine, hands it a command, passes its output on, and knows how it ended.

Everything that QEMU gets is an inherited descriptor (pipes and memory files): no file is made, so
none is left behind however this process ends, and any number of machines can run at once.
"""

import argparse
import ctypes
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

import cpio
import prepare

TIMED_OUT = 124  # as timeout(1) has it
MACHINE_FAILED = 125

# What init.sh makes of a machine that has no wire: its device is on one end of a veth pair.
ALONE = {"device": "rxe", "address": "10.99.0.1", "interface": "v0", "host": "0"}

# A machine that boots with KVM at all does it in a second or two; a broken nested KVM hangs.
KVM_TRIAL_SECONDS = 20


def command_file(command: list[str]) -> bytes:
    """A shell script: our folder, our environment, then the command in its place."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in os.environ.items()
             if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name)]
    lines.append(f"cd {shlex.quote(os.getcwd())} || exit 126")
    lines.append("exec " + shlex.join(command))
    return os.fsencode("\n".join(lines) + "\n")


def memory_file(name: str, content: bytes = b"") -> int:
    descriptor = os.memfd_create(name)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view):]
    return descriptor


def die_with_parent() -> None:
    """Runs in the child: QEMU must not outlive us, even if we are killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def settings_file(settings: dict[str, str]) -> bytes:
    """What init.sh makes the machine from."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()).encode()


def socket_words(sockets: dict[str, socket.socket], settings: dict[str, str]) -> list[str]:
    """What of the machine goes through sockets: the agent's port, QEMU's monitor, the wire."""
    words = []
    if "control" in sockets:
        words += ["-chardev", f"socket,id=control,fd={sockets['control'].fileno()}",
                  "-device", "virtserialport,chardev=control,name=control"]
    if "monitor" in sockets:
        words += ["-chardev", f"socket,id=monitor,fd={sockets['monitor'].fileno()}",
                  "-mon", "chardev=monitor,mode=control"]
    if "wire" in sockets:
        # An empty romfile: nothing is booted from there.
        words += ["-netdev", f"socket,id=wire,fd={sockets['wire'].fileno()}",
                  "-device", "virtio-net-pci,netdev=wire,romfile=,"
                             f"mac=52:54:00:99:00:0{int(settings['host']) + 1}"]
    return words


def qemu_command(image: prepare.Image, accel: str, cpus: int, memory: int, initrd: int,
                 console: int, ports: list[int]) -> list[str]:
    acceleration = "kvm" if accel == "kvm" else "tcg,thread=multi"
    words = [
        prepare.find_program("qemu-system-x86_64") or "qemu-system-x86_64",
        # Emulated, `rep movsb` goes a byte at a time. A kernel that finds no ERMS copies eight at a
        # time, and an all_reduce of 64 KiB or more takes half as many instructions.
        "-accel", acceleration, "-cpu", "host" if accel == "kvm" else "max,-erms,-fsrm",
        "-smp", str(cpus), "-m", str(memory),
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-kernel", str(image.kernel), "-initrd", f"/proc/self/fd/{initrd}",
        # A panic restarts at once, which -no-reboot turns into the end of QEMU. A stuck processor
        # is a panic too, but not before emulation had its time.
        "-append", "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic watchdog_thresh=30 "
                   "mitigations=off tsc=reliable clocksource=tsc",
        "-chardev", f"file,id=console,path=/proc/self/fd/{console}",
        "-serial", "chardev:console",
        "-virtfs", "local,path=/,mount_tag=hostroot,security_model=none,readonly=on,"
                   "multidevs=remap",
        "-device", "virtio-serial-pci",
    ]
    for name, descriptor in zip(("out", "err", "code"), ports):
        words += ["-chardev", f"file,id={name},path=/proc/self/fd/{descriptor}",
                  "-device", f"virtserialport,chardev={name},name={name}"]
    return words


class Pump(threading.Thread):
    """Passes on what comes out of a pipe, to a stream or into memory."""

    def __init__(self, source: int, stream=None) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._stream = stream
        self.content = b""
        self.start()

    def run(self) -> None:
        while chunk := os.read(self._source, 65536):
            if self._stream is None:
                self.content += chunk
                continue
            try:
                self._stream.write(chunk)
                self._stream.flush()
            except BrokenPipeError:
                self._stream = None
        os.close(self._source)


class Machine:
    """One boot: from the start of QEMU to its end."""

    def __init__(self, image: prepare.Image, accel: str, cpus: int, memory: int,
                 command: list[str], out, err, settings: dict[str, str] | None = None,
                 sockets: dict[str, socket.socket] | None = None) -> None:
        settings = ALONE | (settings or {})
        sockets = sockets or {}
        extra = cpio.Archive()
        # Not in the cached part, which would go stale with every change of the script.
        script = pathlib.Path(__file__).resolve().parent / "init.sh"
        extra.file("init", script.read_bytes(), 0o755)
        extra.file("command", command_file(command), 0o755)
        extra.file("settings", settings_file(settings), 0o644)
        initrd = memory_file("initrd", image.initramfs.read_bytes() + extra.bytes())
        self._console = memory_file("console")
        reading, writing = zip(*(os.pipe() for _ in range(3)))
        inherited = [initrd, self._console, *writing, *(s.fileno() for s in sockets.values())]
        words = qemu_command(image, accel, cpus, memory, initrd, self._console, list(writing))
        words += socket_words(sockets, settings)
        self._errors = memory_file("errors")
        self._qemu = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=self._errors, stderr=self._errors,
            pass_fds=inherited, preexec_fn=die_with_parent)
        for descriptor in (initrd, *writing):
            os.close(descriptor)
        for end in sockets.values():
            end.close()
        self._pumps = [Pump(reading[0], out), Pump(reading[1], err), Pump(reading[2])]

    def wait(self, seconds: float) -> bool:
        """True if the machine ended by itself within that time; it has ended in any case."""
        try:
            self._qemu.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.kill()

    def is_gone(self) -> bool:
        return self._qemu.poll() is not None

    def kill(self) -> None:
        self._qemu.kill()
        self._qemu.wait()
        for pump in self._pumps:
            pump.join()

    def exit_code(self) -> int | None:
        """The command's; None if the machine did not get so far as to say it."""
        said = re.search(rb"exit (\d+)", self._pumps[2].content)
        return int(said[1]) if said else None

    def console(self) -> str:
        pieces = []
        for descriptor in (self._errors, self._console):
            size = os.fstat(descriptor).st_size
            pieces.append(os.pread(descriptor, size, 0).decode(errors="replace"))
        return "".join(pieces).replace("\r", "")


def acceleration(image: prepare.Image) -> str:
    """kvm if a machine has booted with it here, else tcg. Tried once per boot of this host: a
    device file that can be opened says little, above all inside a virtual machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    memo = image.folder / "acceleration"
    try:
        known_boot, answer = memo.read_text(encoding="ascii").split()
        if known_boot == boot and answer in ("kvm", "tcg"):
            return answer
    except (OSError, ValueError):
        pass
    prepare.say("trying once whether KVM works here")
    machine = Machine(image, "kvm", 2, 1000, ["true"], None, None)
    answer = "kvm" if machine.wait(KVM_TRIAL_SECONDS) and machine.exit_code() == 0 else "tcg"
    scratch = image.folder / f"acceleration.{os.getpid()}"
    scratch.write_text(f"{boot} {answer}\n", encoding="ascii")
    os.replace(scratch, memo)
    return answer


def show(text: str) -> None:
    print(text if text.endswith("\n") else text + "\n", end="", file=sys.stderr)
    print("-" * 77, file=sys.stderr)


def show_console(machine: Machine) -> None:
    show("--- console of the machine " + "-" * 50 + "\n" + machine.console())


def run(image: prepare.Image, options: argparse.Namespace) -> int:
    accel = acceleration(image) if options.accel == "auto" else options.accel
    start = time.monotonic()
    machine = Machine(image, accel, options.cpus, options.memory, options.command,
                      sys.stdout.buffer, sys.stderr.buffer, settings={"device": options.device})

    def leave(number: int, _frame) -> None:
        # QEMU dies with us. Not by waiting for it: the signal may have come while we do that, and
        # hold what waiting takes.
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)

    ended = machine.wait(options.timeout)
    code = machine.exit_code()
    if code is not None:
        if options.console:
            show_console(machine)
        return code
    show_console(machine)
    seconds = time.monotonic() - start
    what = shlex.join(options.command)
    if not ended:
        print(f"tests/rdma/run: `{what}` was not done after {seconds:.0f} s (--timeout); the "
              "machine was ended", file=sys.stderr)
        return TIMED_OUT
    print(f"tests/rdma/run: the machine died after {seconds:.1f} s, before `{what}` was done; its "
          "console is above", file=sys.stderr)
    return MACHINE_FAILED
