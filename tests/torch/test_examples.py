"""python/examples as the documentation starts them, and bench/train at its smallest."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.mark.parametrize("name, says", [("ddp.py", "loss after 20 steps"),
                                        ("fsdp.py", "loss after 20 steps"),
                                        ("dtensor.py", "largest difference")])
def test_example(name, says):
    """Under torchrun."""
    done = subprocess.run([*TORCHRUN, str(ROOT / "python" / "examples" / name)],
                          capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0 and says in done.stdout, done.stdout + done.stderr


def test_bench(tmp_path):
    """The smallest model by all variants, whose losses agree."""
    done = subprocess.run([sys.executable, str(ROOT / "bench" / "train" / "run"), "--models", "gpt",
                           "--rounds", "1", "--steps", "1", "--out", str(tmp_path)],
                          capture_output=True, text=True, timeout=600, check=False)
    logs = "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert "paceline-bf16" in (tmp_path / "summary.csv").read_text()
