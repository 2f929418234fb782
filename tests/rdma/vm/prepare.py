"""What the machine needs: host packages, a kernel with its modules, a first file system.

The kernel is Debian's ordinary one (the cloud flavour has no rdma_rxe): downloaded as a package
and unpacked into a cache folder, never installed. siw is built beside it (siw.py). The cache is
keyed by the kernel's version and by a number of our own, so an update of either makes a new one
beside the old.
"""

import dataclasses
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import cpio
import siw

# Raise it when the content of the cached image changes.
LAYOUT = 3

# Debian package -> a program or file that it brings.
PACKAGES = {
    "qemu-system-x86": "qemu-system-x86_64",
    "busybox-static": "busybox",
    "kmod": "depmod",
    "iproute2": "rdma",
    "rdma-core": "/lib/udev/rules.d/60-rdma-ndd.rules",
    "ibverbs-providers": "/etc/libibverbs.d/rxe.driver",
    "ibverbs-utils": "ibv_devinfo",
    "perftest": "ib_write_bw",
    "rdmacm-utils": "rping",
    "gcc-12": "gcc-12",  # what Debian 12 compiles its kernel with
    "binutils": "strip",
    "make": "make",
    "xz-utils": "xz",
}

# In the order in which they are loaded; what each depends on is loaded before it. rxe computes
# CRC32 through the kernel's crypto and fails with no reason given where its modules are missing.
# The last line is what tc can do to a wire.
MODULES = [
    "virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay",
    "crc32_generic", "crc32_pclmul", "crc32c_generic", "crc32c_intel",
    "rdma_rxe", "siw", "ib_uverbs", "rdma_ucm", "veth", "virtio_net",
    "sch_netem", "sch_ingress", "cls_flower", "act_gact",
]


class Failure(Exception):
    """What is missing and what to do about it."""


@dataclasses.dataclass(frozen=True)
class Image:
    folder: pathlib.Path
    kernel: pathlib.Path
    initramfs: pathlib.Path


def say(text: str) -> None:
    print(f"tests/rdma/run: {text}", file=sys.stderr, flush=True)


def find_program(name: str) -> str | None:
    """Also where root's programs are, which a user's PATH may lack."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")


def is_there(thing: str) -> bool:
    return os.path.exists(thing) if thing.startswith("/") else find_program(thing) is not None


def run_step(command: list[str], **keywords) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, **keywords)
    if done.returncode != 0:
        raise Failure(f"`{' '.join(command)}` failed ({done.returncode}):\n{done.stdout}"
                      f"{done.stderr}")
    return done.stdout


def install_packages() -> None:
    missing = [package for package, thing in PACKAGES.items() if not is_there(thing)]
    if not missing:
        return
    if find_program("apt-get") is None:
        raise Failure("these Debian packages (or their like) are needed: " + " ".join(missing))
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and find_program("sudo") is None:
        raise Failure(f"as root: apt-get install {' '.join(missing)}")
    install = root + ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y",
                      "--no-install-recommends"] + missing
    say("installing Debian packages: " + " ".join(missing))
    try:
        run_step(install)
    except Failure:  # most often: the lists of packages are missing or old
        run_step(root + ["apt-get", "update"])
        run_step(install)


def kernel_package() -> tuple[str, str]:
    """Name and version of the package that Debian's linux-image-amd64 stands for."""
    def depends() -> list[str]:
        lines = run_step(["apt-cache", "depends", "linux-image-amd64"]).splitlines()
        return [line.split()[1] for line in lines if line.strip().startswith("Depends: linux-")]
    try:
        names = depends()
    except Failure:
        names = []
    if not names:
        say("updating the lists of packages, to find a kernel")
        run_step(([] if os.geteuid() == 0 else ["sudo", "-n"]) + ["apt-get", "update"])
        names = depends()
    if not names:
        raise Failure("no Debian package linux-image-amd64 is known to apt: add Debian's "
                      "repository to its sources")
    policy = run_step(["apt-cache", "show", "--no-all-versions", names[0]])
    version = next(line.split()[1] for line in policy.splitlines() if line.startswith("Version:"))
    return names[0], version


def module_files(tree: pathlib.Path, release: str) -> list[str]:
    """Paths of the modules in loading order, each once."""
    found: list[str] = []
    for module in MODULES:
        shown = run_step([find_program("modprobe") or "modprobe", "--show-depends", "-d", str(tree),
                          "-S", release, module])
        for line in shown.splitlines():
            words = line.split()
            if words[:1] == ["insmod"] and words[1] not in found:
                found.append(words[1])
    return found


def make_initramfs(tree: pathlib.Path, release: str) -> bytes:
    archive = cpio.Archive()
    for folder in ("bin", "proc", "sys", "dev", "modules", "lower", "layer", "host"):
        archive.folder(folder)
    busybox = find_program("busybox")
    assert busybox is not None
    archive.file("bin/busybox", pathlib.Path(busybox).read_bytes(), 0o755)
    order = []
    for path in module_files(tree, release):
        name = os.path.basename(path)
        archive.file(f"modules/{name}", pathlib.Path(path).read_bytes(), 0o644)
        order.append(name)
    archive.file("modules/order", ("\n".join(order) + "\n").encode(), 0o644)
    return archive.bytes()


def build(folder: pathlib.Path, package: str, version: str) -> None:
    """Makes `folder`, whole or not at all."""
    say(f"downloading {package} and making a machine of it in {folder} (once)")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as scratch:
        work = pathlib.Path(scratch)
        run_step(["apt-get", "download", package], cwd=work)
        deb = next(work.glob("*.deb"))
        tree = work / "tree"
        run_step(["dpkg", "-x", str(deb), str(tree)])
        release = next((tree / "lib/modules").iterdir()).name
        module = siw.build(run_step, release, version, work / "siw")
        shutil.copy(module, tree / "lib/modules" / release)
        run_step([find_program("depmod") or "depmod", "-b", str(tree), release])
        ready = work / "ready"
        ready.mkdir()
        shutil.copy(tree / f"boot/vmlinuz-{release}", ready / "kernel")
        (ready / "initramfs").write_bytes(make_initramfs(tree, release))
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(ready, folder)


def cache_root() -> pathlib.Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "paceline" / "rdma-vm"


def image() -> Image:
    """The machine's files, made now if they are missing."""
    if not sys.platform.startswith("linux") or os.uname().machine != "x86_64":
        raise Failure("the machine is made from Debian's amd64 kernel and runs on x86_64 Linux")
    install_packages()
    package, version = kernel_package()
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f"{package}_{version}_{LAYOUT}".replace("/", "-").replace(":", "-")
    with open(root / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several at once: one makes it, the others wait
        if not (folder / "initramfs").exists():
            build(folder, package, version)
    return Image(folder, folder / "kernel", folder / "initramfs")
