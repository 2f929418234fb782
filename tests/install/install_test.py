#!/usr/bin/env python3
"""What is installed can be used from outside: by CMake, by pkg-config, out of Debian packages.

Installs the build folder into folders of its own and builds tests/install/consumer against them.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "process"))

import support  # noqa: E402
from support import ProcessTest, environment, tell  # noqa: E402

given = argparse.Namespace()  # what CMake passed

STEP = 300  # seconds for one command: compiling a small program takes 5, and took over 120 on a
            # machine of two cores with a load of 15
RUN = 30  # seconds for ranks that have next to nothing to do


class InstallTest(ProcessTest):
    def run_command(self, *command, **variables) -> str:
        words = [str(word) for word in command]
        result = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=STEP, check=False, cwd=self.folder,
                                env=environment() | {k: str(v) for k, v in variables.items()})
        self.assertEqual(result.returncode, 0, f"{' '.join(words)}\n{result.stdout}")
        return result.stdout

    def install(self, *components: str) -> pathlib.Path:
        """The prefix. It is moved after installing: nothing may remember where it was."""
        first = pathlib.Path(self.folder) / "first"
        prefix = pathlib.Path(self.folder) / "prefix"
        for component in components:
            self.run_command(given.cmake, "--install", given.build, "--prefix", first,
                             "--component", component, "--strip")
        first.rename(prefix)
        return prefix

    def build_with_cmake(self, prefix: pathlib.Path, form: str) -> pathlib.Path:
        build = pathlib.Path(self.folder) / "consumer"
        self.run_command(given.cmake, "-S", HERE / "consumer", "-B", build, "-G", "Ninja",
                         f"-DCMAKE_CXX_COMPILER={given.compiler}", f"-DPACELINE_FORM={form}",
                         f"-DCMAKE_PREFIX_PATH={prefix}")
        self.run_command(given.cmake, "--build", build)
        return build / "consumer"

    def build_with_pkg_config(self, prefix: pathlib.Path, static: bool) -> pathlib.Path:
        program = pathlib.Path(self.folder) / "consumer"
        path = {"PKG_CONFIG_PATH": prefix / given.libdir / "pkgconfig"}
        flags = self.run_command("pkg-config", "--cflags", "paceline", **path).split()
        libraries = self.run_command("pkg-config", *(["--static"] if static else []), "--libs",
                                     "paceline", **path).split()
        if static:  # as docs/install.md says
            libraries = [word.replace("-lpaceline", "-l:libpaceline.a") for word in libraries]
        self.run_command(given.compiler, "-std=c++20", "-Wall", "-Wextra", "-Werror", *flags,
                         HERE / "consumer" / "consumer.cpp", "-o", program, *libraries)
        return program

    def needed(self, program: pathlib.Path) -> str:
        return self.run_command("readelf", "-d", program)

    def run_consumer(self, program: pathlib.Path, prefix: pathlib.Path):
        """Alone, and as three ranks. The loader is told where the library is, since the prefix is
        none of its own folders."""
        variables = {"LD_LIBRARY_PATH": prefix / given.libdir, "PACELINE_TIMEOUT": RUN}
        ranks = [self.start("alone", [program], **variables)]
        ranks += self.start_ranks(3, [program], **variables)
        self.wait_for_end(ranks, RUN)
        self.assert_ended(ranks[0], 0, "rank 0 of 1: fine")
        for number, rank in enumerate(ranks[1:]):
            self.assert_ended(rank, 0, f"rank {number} of 3: fine")


class Cmake(InstallTest):
    def test_shared(self):
        prefix = self.install("runtime", "development")
        program = self.build_with_cmake(prefix, "")
        self.assertRegex(self.needed(program), rf"NEEDED.*\[libpaceline\.so\.{given.major}\]")
        self.run_consumer(program, prefix)

    def test_static(self):
        prefix = self.install("runtime", "development")
        program = self.build_with_cmake(prefix, "static")
        self.assertNotRegex(self.needed(program), "libpaceline")
        shutil.rmtree(prefix)  # nothing of it is needed any more
        self.run_consumer(program, prefix)

    def test_only_the_static_one(self):
        """Then Paceline::paceline is that."""
        prefix = self.install("development")
        folder = prefix / given.libdir
        for file in [*folder.glob("libpaceline.so*"), *folder.rglob("PacelineSharedTargets*")]:
            file.unlink()
        program = self.build_with_cmake(prefix, "")
        self.assertNotRegex(self.needed(program), "libpaceline")


class PkgConfig(InstallTest):
    def test_shared(self):
        prefix = self.install("runtime", "development")
        program = self.build_with_pkg_config(prefix, static=False)
        needed = self.needed(program)
        self.assertIn(f"libpaceline.so.{given.major}", needed)
        self.assertNotIn("libhwy", needed)  # the library's own affair
        self.run_consumer(program, prefix)

    def test_static(self):
        prefix = self.install("development")
        program = self.build_with_pkg_config(prefix, static=True)
        self.assertNotIn("libpaceline", self.needed(program))
        self.run_consumer(program, prefix)


class Debian(InstallTest):
    """The packages, unpacked into a root of their own; nothing is installed on this machine."""

    def test_packages(self):
        folder = pathlib.Path(self.folder)
        self.run_command(given.cpack, "--config", given.build / "CPackConfig.cmake", "-G", "DEB",
                         "-B", folder / "packages")
        packages = {path.name.split("_")[0]: path for path in (folder / "packages").glob("*.deb")}
        runtime = f"libpaceline{given.major}"
        self.assertEqual(sorted(packages), sorted([runtime, "libpaceline-dev", "paceline-tools"]))
        self.check_dependencies(packages, runtime)

        root = folder / "root"
        for path in packages.values():
            self.run_command("dpkg", "-x", path, root)
        self.check_files(root / "usr")
        program = self.build_with_pkg_config(root / "usr", static=False)
        self.run_consumer(program, root / "usr")
        said = self.run_command(root / "usr" / "bin" / "paceline", "info")
        self.assertIn("transports", said)

    def check_dependencies(self, packages: dict, runtime: str):
        def field(package: str, name: str) -> str:
            return self.run_command("dpkg-deb", "--field", packages[package], name).strip()

        version = field(runtime, "Version")
        for package in packages:
            self.assertEqual(field(package, "Version"), version)
            self.assertTrue(field(package, "Description").startswith("collective communication"))
        for package in (runtime, "paceline-tools"):
            for needed in ("libc6", "libstdc++6", "libssl3", "libhwy1"):
                self.assertIn(f"{needed} (", field(package, "Depends"))
        self.assertNotIn("libpaceline", field("paceline-tools", "Depends"))
        self.assertIn(f"{runtime} (= {version})", field("libpaceline-dev", "Depends"))
        for needed in ("libssl-dev", "libhwy-dev"):  # named in paceline.pc
            self.assertIn(needed, field("libpaceline-dev", "Depends"))
        tell("\n".join(f"{p}: {field(p, 'Depends')}" for p in sorted(packages)))
        # What makes other packages depend on the right version, and the loader see the library.
        control = self.run_command("dpkg-deb", "--info", packages[runtime], "shlibs")
        self.assertRegex(control, rf"^libpaceline {given.major} {runtime} \(>= .*, .*<< ")
        self.assertIn("activate-noawait ldconfig",
                      self.run_command("dpkg-deb", "--info", packages[runtime], "triggers"))

    def check_files(self, usr: pathlib.Path):
        libraries = usr / given.libdir
        expected = [
            libraries / f"libpaceline.so.{given.version}", libraries / "libpaceline.so",
            libraries / "libpaceline.a", libraries / "pkgconfig" / "paceline.pc",
            libraries / "cmake" / "Paceline" / "PacelineConfig.cmake",
            usr / "include" / "paceline" / "paceline.hpp", usr / "bin" / "paceline",
            usr / "bin" / "all_reduce_perf", usr / "share" / "man" / "man1" / "paceline.1.gz",
            usr / "share" / "man" / "man1" / "all_reduce_perf.1.gz"]
        expected += [usr / "share" / "doc" / package / "copyright" for package in
                     (f"libpaceline{given.major}", "libpaceline-dev", "paceline-tools")]
        self.assertEqual([str(path) for path in expected if not path.is_file()], [])
        # Nothing that only a debugger would read.
        for path in (libraries / "libpaceline.so", libraries / "libpaceline.a",
                     usr / "bin" / "paceline"):
            self.assertNotIn(".debug_info", self.run_command("readelf", "-SW", path))
        # A public header includes public headers only.
        names = {path.name for path in (usr / "include" / "paceline").iterdir()}
        self.assertIn("communicator.h", names)
        self.assertNotIn("CMakeLists.txt", names)
        size = sum(p.stat().st_size for p in usr.rglob("*") if p.is_file() and not p.is_symlink())
        tell(f"{size / 1e6:.1f} MB installed")


def main():
    parser = argparse.ArgumentParser()
    for name in ("cmake", "cpack", "build", "compiler"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    for name in ("libdir", "version"):
        parser.add_argument(f"--{name}", required=True)
    _, rest = parser.parse_known_args(namespace=given)
    given.major = given.version.split(".")[0]
    os.environ.setdefault("LC_ALL", "C")
    sys.argv[1:] = rest
    support.main()


if __name__ == "__main__":
    main()
