"""Loading never holds two copies of the weights: the peak of memory that is not a file's is that of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from methods.hub.memory import weights_bytes

ROOT = Path(__file__).parents[2]

PROBE = """
import sys, threading, time
from pathlib import Path
import torch
from safetensors.torch import load_file
from methods.pipelines import load_pipeline
import methods.misfit

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

folder, kept = Path(sys.argv[1]), sys.argv[2] == "kept"
load_pipeline(Path(sys.argv[3]), device=torch.device("cpu"), dtype=torch.float32)  # what the libraries themselves take
before = peak = anonymous()
loading = True
def watch():
    global peak
    while loading:
        peak = max(peak, anonymous())
        time.sleep(0.002)
thread = threading.Thread(target=watch)
thread.start()
held = [t.clone() for f in folder.rglob("*.safetensors") for t in load_file(f).values()] if kept else []
pipe = load_pipeline(folder, device=torch.device("cpu"), dtype=torch.float32)
for parameter in pipe.unet.parameters():
    parameter.data.add_(0)  # a page that was only mapped becomes one of our own
loading = False
thread.join()
print(peak - before)
"""


def write_large(folder: Path) -> Path:
    """A random pipeline whose UNet is wide: hundreds of megabytes."""
    import torch
    from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel

    from tests.tiny import write_tiny_pipeline

    pipe = StableDiffusionXLPipeline.from_pretrained(write_tiny_pipeline(folder), add_watermarker=False)
    config = dict(pipe.unet.config)
    wide = tuple(5 * size for size in config["block_out_channels"])
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config({**config, "block_out_channels": wide})
    unet.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.fill_(0.01)
    unet.save_pretrained(folder / "unet")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_one_copy_and_a_second_would_be_seen(tmp_path: Path, tiny_pipeline: Path) -> None:
    folder = write_large(tmp_path / "large")
    size = sum(weights_bytes(folder, "float32").values())
    assert size > 100 * 2**20

    def peak(mode: str) -> float:
        command = [sys.executable, "-c", PROBE, str(folder), mode, str(tiny_pipeline)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split()[-1]) / size

    assert peak("plain") < 1.3  # one copy, and less than a third of another for buffers
    assert peak("kept") > 1.7
