"""Libraries that come with a launcher: three MPIs, from Debian or as Python packages, and oneCCL,
which is started by Intel MPI's.

On one machine a launcher forks the ranks. Where two namespaces are the hosts, it runs in the first
one and reaches the other through `agent`, which it takes for ssh.
"""

import os
import pathlib
import re
import shutil
import subprocess

from launch import Job, Start
from namespaces import DEVICE, NETWORK
from peers import SOURCES, Builder, Missing, Peer, debian_version

AGENT = str(SOURCES / "agent")
NO_CXX_BINDINGS = ["-DOMPI_SKIP_MPICXX", "-DMPICH_SKIP_MPICXX"]


class Launched(Peer):
    """The launcher starts the ranks, and says to each which one it is."""
    variables: dict[str, str] = {}

    def __init__(self, name: str, version: str, launcher: str):
        self.name = name
        self.version = version
        self.place = self._launcher = launcher
        self.program = ""

    def told(self, job: Job) -> tuple[list[str], dict[str, str]]:
        """Options of the launcher, and variables, that make the library do what is asked."""
        raise NotImplementedError

    def settings(self, job: Job) -> str:
        options, variables = self.told(job)
        text = " ".join([*options, *(f"{name}={value}" for name, value in variables.items())])
        return re.sub(r"paceline-\d+-", "host-", text.replace(AGENT, "bench/compare/agent"))

    def starts(self, job: Job) -> list[Start]:
        options, variables = self.told(job)
        before = job.cable.inside_by_name(0) if job.cable else []
        return [Start([*before, self._launcher, *options, "-n", str(job.ranks), self.program,
                       *job.arguments()], self.variables | variables)]

    @staticmethod
    def hosts(job: Job) -> str:
        """"a:2,b:2"; in turn, "a:1,b:1", which launchers go through again and again."""
        each = 1 if job.where == "tcp" else job.per_host
        return ",".join(f"{name}:{each}" for name in job.cable.names)


class OpenMpi(Launched):
    """Its shared memory is the BTL vader in release 4, and sm from 5 on; who launches is told by
    --mca in release 4, and by --prtemca from 5 on."""

    def __init__(self, name: str, version: str, launcher: str, compiler: list[str],
                 libraries: list[str], variables: dict[str, str]):
        super().__init__(name, version, launcher)
        self._compiler = compiler
        self._libraries = libraries
        self.variables = variables
        self._five = int(version.split(".")[0]) >= 5

    def build(self, builder: Builder):
        self.program = builder.adapter(self.name, "adapter_mpi.cpp",
                                       self._compiler + NO_CXX_BINDINGS, self._libraries)

    def told(self, job: Job) -> tuple[list[str], dict[str, str]]:
        options = ["--bind-to", "none"]  # the method pins
        if os.geteuid() == 0:
            options.append("--allow-run-as-root")
        mca = {}
        if job.crowded:
            mca["mpi_yield_when_idle"] = "1"
        if job.cable is None:
            options += self._map("slot")
        else:
            shared_memory = [] if job.where == "tcp" else ["sm" if self._five else "vader"]
            options += ["--host", ",".join(f"{n}:{job.per_host}" for n in job.cable.names)]
            options += self._map("node" if job.where == "tcp" else "slot")
            mca |= {"pml": "ob1", "btl": ",".join(["self", *shared_memory, "tcp"]),
                    "btl_tcp_if_include": NETWORK}
            if self._five:
                options += ["--prtemca", "plm_ssh_agent", AGENT,
                            "--prtemca", "prte_if_include", NETWORK]
            else:
                mca |= {"plm": "rsh", "plm_rsh_agent": AGENT, "oob_tcp_if_include": NETWORK}
        for key, value in mca.items():
            options += ["--mca", key, value]
        return options, {}

    def _map(self, by: str) -> list[str]:
        if self._five:
            return ["--map-by", f"{by}:oversubscribe"]
        return ["--map-by", by, "--oversubscribe"]


class Mpich(Launched):
    """Its messages between hosts go through UCX or libfabric, whichever it was built with: both are
    told to use TCP."""

    def __init__(self, name: str, version: str, launcher: str, compiler: list[str],
                 libraries: list[str]):
        super().__init__(name, version, launcher)
        self._compiler = compiler
        self._libraries = libraries

    def build(self, builder: Builder):
        self.program = builder.adapter(self.name, "adapter_mpi.cpp",
                                       self._compiler + NO_CXX_BINDINGS, self._libraries)

    def told(self, job: Job) -> tuple[list[str], dict[str, str]]:
        options = ["-bind-to", "none"]  # the method pins
        variables = {}
        if job.crowded:
            variables["MPIR_CVAR_POLLS_BEFORE_YIELD"] = "1"
        if job.cable is None:
            return ["-launcher", "fork", *options], variables
        options += ["-launcher", "ssh", "-launcher-exec", AGENT,
                    "-localhost", job.cable.addresses[0], "-hosts", self.hosts(job)]
        variables |= {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": DEVICE, "FI_PROVIDER": "tcp"}
        if job.where == "tcp":
            variables["MPIR_CVAR_NOLOCAL"] = "1"
        return options, variables


class IntelMpi(Launched):
    """As a Python package it has no headers: those of MPICH do, since both keep to one ABI."""

    def __init__(self, name: str, version: str, environment: pathlib.Path, headers: list[str]):
        super().__init__(name, version, str(environment / "bin" / "mpiexec.hydra"))
        self._library = environment / "lib"
        self._headers = headers
        self.variables = {"I_MPI_ROOT": str(environment), "FI_PROVIDER_PATH": str(self._library),
                          "LD_LIBRARY_PATH": str(self._library)}

    def build(self, builder: Builder):
        self.program = builder.adapter(
            self.name, "adapter_mpi.cpp", ["g++", *self._headers, *NO_CXX_BINDINGS],
            [str(self._library / "libmpi.so.12"), f"-Wl,-rpath,{self._library}"])

    def told(self, job: Job) -> tuple[list[str], dict[str, str]]:
        variables = {"I_MPI_PIN": "0"}  # the method pins
        if job.crowded:
            variables["I_MPI_WAIT_MODE"] = "1"
        if job.cable is None:
            return [], variables | {"I_MPI_FABRICS": "shm"}
        variables |= {"I_MPI_FABRICS": "ofi" if job.where == "tcp" else "shm:ofi",
                      "FI_PROVIDER": "tcp", "FI_TCP_IFACE": DEVICE}
        return ["-bootstrap", "ssh", "-bootstrap-exec", AGENT, "-iface", DEVICE, "-hosts",
                ",".join(job.cable.names), "-ppn", self.hosts(job).rsplit(":", 1)[1]], variables


class OneCcl(IntelMpi):
    """By default a thread of its own makes its progress, and needs a core for each rank besides
    the caller's; told not to, the caller does."""

    def build(self, builder: Builder):
        self.program = builder.adapter(
            self.name, "adapter_oneccl.cpp", ["g++", *self._headers],
            [str(self._library / "libccl.so.1"), f"-Wl,-rpath,{self._library}",
             f"-Wl,-rpath-link,{self._library}"])

    def told(self, job: Job) -> tuple[list[str], dict[str, str]]:
        options, variables = super().told(job)
        variables |= {"CCL_ATL_TRANSPORT": "mpi", "CCL_WORKER_OFFLOAD": "0"}
        return options, variables | ({"CCL_YIELD": "sched_yield"} if job.crowded else {})


def find_mpis(folder: pathlib.Path | None) -> list[Peer | Missing]:
    """Those of the system, and those in the virtual environments inside of `folder`."""
    mpich = _find_system("mpich", ["mpiexec.mpich", "mpiexec.hydra", "mpiexec"],
                         ["mpicxx.mpich", "mpicxx"], r"HYDRA|MPICH",
                         r"Version:\s*(\S+)", "apt-get install mpich libmpich-dev")
    openmpi = _find_system("openmpi", ["mpirun.openmpi", "mpirun"], ["mpicxx.openmpi", "mpicxx"],
                           r"Open MPI", r"Open MPI\)\s*(\S+)",
                           "apt-get install openmpi-bin libopenmpi-dev")
    return [openmpi, mpich, *_find_in_python(folder, mpich)]


def _find_system(name: str, launchers: list[str], compilers: list[str], says: str, number: str,
                 how: str) -> Peer | Missing:
    for launcher in filter(None, map(shutil.which, launchers)):
        text = subprocess.run([launcher, "--version"], capture_output=True, text=True,
                              check=False).stdout
        version = re.search(number, text)
        compiler = next(filter(None, map(shutil.which, compilers)), None)
        if re.search(says, text) and version and compiler:
            if name == "openmpi":
                return OpenMpi(name, version[1], launcher, [compiler], [], {})
            return Mpich(name, version[1], launcher, [compiler], [])
    return Missing(name, how)


PACKAGES = {"openmpi": "openmpi-python", "mpich": "mpich-python", "impi-rt": "intel-mpi",
            "oneccl": "oneccl"}


def _find_in_python(folder: pathlib.Path | None, mpich: Peer | Missing) -> list[Peer | Missing]:
    """One virtual environment for each package: all of them bring an mpiexec and a libmpi.so, and
    in one place they would overwrite each other's."""
    found: list[Peer | Missing] = []
    for package, name in PACKAGES.items():
        wanted = "oneccl oneccl-devel" if package == "oneccl" else package
        place = f"{folder}/{package}" if folder else f"FOLDER/{package}"
        how = f"python3 -m venv {place} && {place}/bin/pip install {wanted}" + (
            "" if folder else ", then --python-peers FOLDER")
        environment = folder / package if folder else pathlib.Path("/nonexistent")
        version = _version_in(environment, package)
        found.append(Missing(name, how) if version is None
                     else _in_python(package, name, version, environment, how, mpich))
    return found


def _in_python(package: str, name: str, version: str, environment: pathlib.Path, how: str,
               mpich: Peer | Missing) -> Peer | Missing:
    others = [p for p in ("openmpi", "mpich", "impi-rt")
              if p != package and (package, p) != ("oneccl", "impi-rt")
              and _version_in(environment, p)]
    if others:
        return Missing(name, f"{environment} also holds {', '.join(others)}, whose files are in "
                       f"the place of its own; make it anew: {how}")
    libraries = environment / "lib"
    plain = ["g++", f"-I{environment / 'include'}"]
    linked = [f"-L{libraries}", "-lmpi", f"-Wl,-rpath,{libraries}"]
    if package == "openmpi":
        return OpenMpi(name, version, str(environment / "bin" / "mpirun"), plain, linked,
                       {"OPAL_PREFIX": str(environment)})
    if package == "mpich":
        return Mpich(name, version, str(environment / "bin" / "mpiexec"), plain, linked)
    if package == "oneccl":
        headers = environment / "include"
        if not (headers / "oneapi" / "ccl.hpp").exists():
            return Missing(name, f"{environment} has the library but not its headers: "
                           f"{environment}/bin/pip install oneccl-devel=={version}")
        return OneCcl(name, version, environment, ["-isystem", str(headers)])
    headers = _mpich_headers(environment.parent, mpich)
    if headers is None:
        return Missing(name, "it comes without headers and needs those of MPICH, whose ABI it has: "
                       "apt-get install libmpich-dev")
    return IntelMpi(name, version, environment, headers)


def _mpich_headers(folder: pathlib.Path, mpich: Peer | Missing) -> list[str] | None:
    if (folder / "mpich" / "include" / "mpi.h").exists():
        return [f"-I{folder / 'mpich' / 'include'}"]
    if isinstance(mpich, Missing):
        return None
    compiler = shutil.which("mpicxx.mpich") or "mpicxx"
    shown = subprocess.run([compiler, "-show"], capture_output=True, text=True, check=False).stdout
    return re.findall(r"-I\S+", shown) or None


def _version_in(environment: pathlib.Path, package: str) -> str | None:
    stem = package.replace("-", "_")
    for path in environment.glob(f"lib/python3*/site-packages/{stem}-*.dist-info"):
        return path.name.removeprefix(f"{stem}-").removesuffix(".dist-info")
    return None
