"""How the backend is compiled: once, by one of those that want it, and never in silence."""

import subprocess
import sys

import torch

from paceline.torch import build

LOAD = "import paceline.torch; print('loaded')"


def load(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    return subprocess.run([sys.executable, "-c", LOAD], env=env, capture_output=True, text=True,
                          timeout=900, check=False)


def test_key_names_what_it_depends_on(monkeypatch):
    """Another torch, another compiler: another file."""
    wanted = build.plan()
    before = build.built(wanted)
    monkeypatch.setattr(torch, "__version__", "2.14.0")
    assert build.built(wanted) != before
    monkeypatch.undo()
    assert build.built(build.Plan(wanted.place, "another")) != before


def test_without_a_compiler(tmp_path):
    """What is missing, and what to do."""
    env = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path),
           "PYTHONPATH": ":".join(sys.path)}
    done = load(env)
    assert done.returncode != 0
    assert "no C++ compiler" in done.stderr and "apt install g++" in done.stderr, done.stderr


def test_a_compiler_that_fails(tmp_path):
    """What it said."""
    compiler = tmp_path / "compiler"
    compiler.write_text("#!/bin/sh\necho it is out of order >&2; exit 1\n")
    compiler.chmod(0o755)
    env = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path),
           "PYTHONPATH": ":".join(sys.path), "CXX": str(compiler)}
    done = load(env)
    assert done.returncode != 0 and "it is out of order" in done.stderr, done.stderr


def test_ranks_that_start_at_once_compile_once(tmp_path):
    """Three of them, by a compiler that counts and makes what is there already."""
    made = build.ensure()
    counter = tmp_path / "count"
    compiler = tmp_path / "compiler"
    compiler.write_text("#!/bin/sh\n"
                        'for word; do target=$last; last=$word; done\n'
                        f'case $last in *.so) echo x >> {counter}; sleep 2; cp {made} $last;;\n'
                        "*) : > $last;; esac\n")
    compiler.chmod(0o755)
    env = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path),
           "PYTHONPATH": ":".join(sys.path), "CXX": str(compiler)}
    processes = [subprocess.Popen([sys.executable, "-c", LOAD], env=env, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                 for _ in range(3)]
    said = [process.communicate(timeout=300) for process in processes]
    assert [out for out, _ in said] == ["loaded\n"] * 3, said
    assert counter.read_text() == "x\n"
    assert sum("compiling the backend" in err for _, err in said) == 1, said


def test_a_newer_torch_is_a_warning():
    """Not a failure."""
    code = ("import warnings\n"
            "from paceline.torch import _backend, build\n"
            "build.NEWEST_TESTED = (2, 0)\n"
            "with warnings.catch_warnings(record=True) as seen:\n"
            "    warnings.simplefilter('always')\n"
            "    _backend.check_version()\n"
            "print([str(w.message) for w in seen])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
                          check=False)
    assert "is tested with torch up to 2.0" in done.stdout, done.stdout + done.stderr
