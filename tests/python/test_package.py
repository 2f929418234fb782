"""The package as people get it: installed, typed, packed, documented."""

import os
import pathlib
import re
import subprocess
import sys
import venv

import pytest

import paceline

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXAMPLES = ROOT / "python" / "examples"
STEP = 600  # seconds for one command; compiling the extension takes two minutes on two busy cores


def run(*command, **options) -> str:
    """The output of a program that ends well."""
    words = [str(word) for word in command]
    result = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=STEP, check=False, **options)
    assert result.returncode == 0, f"{' '.join(words)}\n{result.stdout}"
    return result.stdout


def mpirun(size, *command):
    return ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", size, *command]


def test_what_it_carries():
    library = pathlib.Path(paceline.get_library_dir())
    assert [p.name for p in library.iterdir()] == ["libpaceline.so.0"]
    headers = pathlib.Path(paceline.get_include()) / "paceline"
    given = {p.name for p in (ROOT / "include" / "paceline").glob("*.h*")}
    assert {p.name for p in headers.iterdir()} == given
    loaded = {line.split()[-1] for line in pathlib.Path("/proc/self/maps").read_text().splitlines()
              if "libpaceline" in line}
    assert loaded == {str(library / "libpaceline.so.0")}
    version = re.search(r"paceline VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert paceline.__version__ == version[1]


def test_extensions_compile_against_it(tmp_path):
    source = tmp_path / "program.cpp"
    source.write_text("#include <paceline/paceline.hpp>\n"
                      "int main() { return paceline::Communicator::from_environment().rank(); }\n")
    folder = paceline.get_library_dir()
    run("c++", "-std=c++20", source, "-o", tmp_path / "program", "-I", paceline.get_include(),
        "-L", folder, "-l:libpaceline.so.0", f"-Wl,-rpath,{folder}")
    run(tmp_path / "program")


def test_everything_public_is_documented():
    missing = []
    for name in paceline.__all__:
        thing = getattr(paceline, name)
        if not (thing.__doc__ or "").strip():
            missing.append(name)
        for member, value in vars(thing).items() if isinstance(thing, type) else ():
            if not member.startswith("_") and callable(value) and not value.__doc__:
                missing.append(f"{name}.{member}")
    assert not missing
    assert sorted(paceline.__all__) == list(paceline.__all__)


def test_errors_have_all_codes():
    header = (ROOT / "include" / "paceline" / "error.h").read_text()
    codes = dict(re.findall(r"^  (\w+) = (\d+),", header, re.MULTILINE))
    assert {code.name: str(code.value) for code in paceline.ErrorCode} == codes
    from paceline import errors
    assert sorted(errors.BY_CODE) == sorted(int(n) for n in codes.values())


def test_init_knows_all_fields_of_config():
    header = (ROOT / "include" / "paceline" / "config.h").read_text()
    header = header[header.index("struct PACELINE_API Config"):]
    fields = re.findall(r"^  [\w:<>, ]+ (\w+)(?: = .*|\{.*\})?;", header, re.MULTILINE)
    assert len(fields) > 25
    with paceline.init() as comm:
        known = set(comm.config)
    assert set(fields) - known == {"launcher", "secret"}  # found out; not shown
    assert known <= set(fields)


def test_types(tmp_path):
    sample = tmp_path / "sample.py"
    sample.write_text((HERE / "typed_sample.py").read_text())
    folder = os.environ["PYTHONPATH"].split(":")[0]
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy-torch.*]\nignore_missing_imports = True\n")  # it is not here
    options = ["--strict", "--config-file", settings, "--cache-dir", tmp_path / "cache"]
    run(sys.executable, "-m", "mypy", *options, sample)
    run(sys.executable, "-m", "mypy", *options, "-p", "paceline",
        env=dict(os.environ, MYPYPATH=folder))
    run(sys.executable, "-m", "mypy.stubtest", "paceline._native", "--allowlist",
        HERE / "stubtest_allowlist.txt", "--ignore-unused-allowlist",
        env=dict(os.environ, MYPYPATH=folder), cwd=tmp_path)


def test_a_call_of_the_wrong_type_is_found(tmp_path):
    sample = tmp_path / "sample.py"
    sample.write_text("import paceline\npaceline.init().split('red')\n")
    result = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir",
                             tmp_path / "cache", sample], text=True, capture_output=True,
                            check=False, timeout=STEP)
    assert result.returncode == 1 and 'expected "int"' in result.stdout, result.stdout


@pytest.mark.parametrize("name, size", [("numpy_all_reduce", 4), ("beside_mpi4py", 2),
                                        ("asyncio_overlap", 2)])
def test_examples(jobs, name, size):
    said = jobs.program(*mpirun(size, sys.executable, EXAMPLES / f"{name}.py"))
    assert said.count("rank ") == size, said


def test_the_five_lines_of_the_documentation(jobs, tmp_path):
    text = (ROOT / "docs" / "python.md").read_text()
    program = tmp_path / "hello.py"
    program.write_text(re.search(r"```python\n# hello.py\n(.*?)```", text, re.DOTALL)[1])
    said = jobs.program(*mpirun(4, sys.executable, program))
    assert said.count("[6. 6. 6. 6.]") == 4, said


def wheel_in_a_fresh_environment(jobs, folder, *settings):
    """Builds a wheel as people do, installs it where nothing else is, and runs the five lines."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, *settings, ROOT)
    (wheel,) = folder.glob("paceline-*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=True)
    clean = {n: v for n, v in os.environ.items() if not n.startswith("PYTHON")}
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", wheel, env=clean)
    where = run(python, "-c", "import paceline; print(paceline.__file__)", env=clean, cwd=folder)
    assert str(environment) in where
    said = jobs.program(*mpirun(4, python, EXAMPLES / "numpy_all_reduce.py"), PYTHONPATH="")
    assert said.count("[6. 6. 6. 6.]") == 4, said
    return wheel


def test_wheel_around_a_library_that_is_built(jobs, tmp_path):
    build = pathlib.Path(os.environ["TESTED_BUILD"])
    library = (build / "lib" / "libpaceline.so").resolve()
    # Where tests/python/prepare has compiled it, so that it need not be compiled again.
    wheel = wheel_in_a_fresh_environment(
        jobs, tmp_path, "--no-build-isolation", "-C", f"build-dir={build / 'python' / 'build'}",
        "-C", f"cmake.define.PACELINE_PREBUILT={library}")
    assert wheel.stat().st_size < 10e6  # what debuggers read would be 40 MB


@pytest.mark.slow
def test_wheel_from_nothing(jobs, tmp_path, monkeypatch):
    """The library too: ten minutes on two cores."""
    monkeypatch.setattr(sys.modules[__name__], "STEP", 3000)
    build = pathlib.Path(os.environ["TESTED_BUILD"])
    wheel_in_a_fresh_environment(jobs, tmp_path, "-C", f"build-dir={build / 'python' / 'whole'}")
