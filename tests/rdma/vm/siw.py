"""Builds siw, software iWARP, which Debian's kernel has the source of and not the module.

The source and the kernel's own build files come as packages of the kernel's version, are
unpacked into a scratch folder and never installed; only that one folder of the source is compiled.
"""

import pathlib
import re
from collections.abc import Callable

Step = Callable[..., str]

SOURCE = "drivers/infiniband/sw/siw"


def packages(run_step: Step, release: str, version: str) -> list[str]:
    """What to download: the source, and the headers with what they depend on of the kernel's."""
    headers = f"linux-headers-{release}"
    shown = run_step(["apt-cache", "show", f"{headers}={version}"])
    depends = next(line for line in shown.splitlines() if line.startswith("Depends:"))
    # The compiler is there already; linux-kbuild and linux-headers-...-common are files. Where a later
    # version will do, the newest one is taken: while Debian moves on to another kernel, its archive
    # may have no other.
    beside = [name if relation == ">=" else f"{name}={version}" for name, relation in re.findall(
        r"(linux-(?:headers|kbuild)-[^\s,]+)(?:\s*\(([<>=]+))?", depends)]
    # 6.1.0-56-amd64 is of 6.1.
    source = "linux-source-" + ".".join(release.split(".")[:2])
    return [f"{headers}={version}", f"{source}={version}", *beside]


def build(run_step: Step, release: str, version: str, scratch: pathlib.Path) -> pathlib.Path:
    """The module's file, without its debugging information."""
    scratch.mkdir()
    run_step(["apt-get", "download", *packages(run_step, release, version)], cwd=scratch)
    tree = scratch / "tree"
    for deb in scratch.glob("*.deb"):
        run_step(["dpkg", "-x", str(deb), str(tree)])
    sources = tree / "usr/src"
    archive = next(sources.glob("linux-source-*.tar.xz"))
    top = archive.name.removesuffix(".tar.xz")
    run_step(["tar", "-xJf", str(archive), f"{top}/{SOURCE}"], cwd=sources)
    # It includes the common part by the path that it would be installed under.
    headers = sources / f"linux-headers-{release}"
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text(encoding="ascii").replace("/usr/src/", f"{sources}/"),
                        encoding="ascii")
    folder = sources / top / SOURCE
    run_step(["make", "-j2", "-C", str(headers), f"M={folder}", "CONFIG_RDMA_SIW=m", "modules"])
    module = folder / "siw.ko"
    run_step(["strip", "--strip-debug", str(module)])
    return module
