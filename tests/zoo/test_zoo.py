"""The zoo that ships: whole, small enough, refused when damaged, and ordinary to stock diffusers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler, LCMScheduler, StableDiffusionXLPipeline

from bench.errors import WeightsError
from bench.suites.shapes.info import ZOO
from bench.suites.shapes.suite import ShapesSuite
from bench.suites.shapes.training.pack import STUDENTS
from bench.suites.shapes.zoo import Zoo
from methods.hub.places import CACHE_VARIABLE
from methods.interface import SampleRequest
from methods.registry import METHODS

MIB = 2**20
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    return Zoo()


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the zoo to hurt, with a cache of its own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return Path(shutil.copytree(ZOO, tmp_path / "zoo"))


def test_it_fits_in_forty_mebibytes() -> None:
    assert sum(path.stat().st_size for path in ZOO.rglob("*") if path.is_file()) <= 40 * MIB


def test_every_file_is_the_one_in_the_manifest(zoo: Zoo) -> None:
    listed = set(zoo.manifest["files"])
    assert listed == {path.stem for path in ZOO.glob("*.safetensors")}
    for name in listed:
        assert zoo.tensors(name)


def test_every_trained_file_says_what_made_it(zoo: Zoo) -> None:
    for name in ("vae", "teacher", "lcm", "add", "lcm-lora", "pd-1", "recogniser", "clip", "preference"):
        made = zoo.manifest["files"][name]["made"]
        assert made["seconds"] > 0
        assert made["history"][0]["config"]["seed"] >= 0
        assert "images" in made["data"]
        assert made["versions"]["torch"]


def test_every_student_says_what_it_cost_in_three_currencies_and_none_had_more_than_lcm(zoo: Zoo) -> None:
    made = {name: file["made"] for name, file in zoo.manifest["files"].items()}
    students = [name for name in STUDENTS if name in made]
    assert {"add", "lcm", "lcm-lora", "pd-4", "pd-2", "pd-1"} <= set(students)
    for name in students:
        spent = made[name].get("all_rounds", made[name])  # the rounds of one chain share one budget
        assert 0 < spent["seconds"] <= 45 * 60
        assert 0 < spent["images"] <= made["lcm"]["images"]
        assert 0 <= spent["teacher_evaluations"] <= made["lcm"]["teacher_evaluations"]
        assert spent["teacher_evaluations"] or name in ("style", "ufogen", "gan")


def test_the_unet_has_at_most_two_and_a_half_million_parameters(zoo: Zoo) -> None:
    for name in ("teacher", "lcm", "add", "pd-4", "pd-2", "pd-1"):
        assert sum(tensor.numel() for tensor in zoo.tensors(name).values()) <= 2_500_000


def test_a_changed_byte_is_refused_with_its_hash(damaged: Path) -> None:
    path = damaged / "add.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"add\.safetensors: sha256 [0-9a-f]{64}"):
        ShapesSuite(Zoo(damaged)).checkpoint("add")
    assert ShapesSuite(Zoo(damaged)).checkpoint("lcm").is_dir()  # the others are fine


def test_a_truncated_file_is_refused_by_name(damaged: Path) -> None:
    path = damaged / "vae.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"vae\.safetensors"):
        Zoo(damaged).tensors("vae")


def test_no_manifest_no_zoo(damaged: Path) -> None:
    (damaged / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match="bench train zoo"):
        Zoo(damaged)


def test_an_unknown_checkpoint_names_the_command_that_makes_it(zoo: Zoo) -> None:
    with pytest.raises(WeightsError, match="bench train ufogen"):
        zoo.pipeline("ufogen")


def test_another_manifest_is_another_folder(damaged: Path) -> None:
    first = Zoo(damaged).pipeline("teacher")
    manifest = json.loads((damaged / "manifest.json").read_text(encoding="utf-8"))
    (damaged / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert Zoo(damaged).pipeline("teacher") != first


@pytest.mark.parametrize(
    ("checkpoint", "steps"),
    [
        ("sdxl", 4),
        ("lcm", 4),
        ("add", 4),
        ("lcm-lora", 4),
        ("lcm-lora-style", 4),
        ("pd-4", 4),
        ("pd-2", 2),
        ("pd-1", 1),
    ],
)
def test_stock_diffusers_gives_the_image_of_the_harness(checkpoint: str, steps: int) -> None:
    """At most one level of 255: floating-point rounding only. The denoiser is asked once a step."""
    suite = ShapesSuite()
    folder = suite.checkpoint(checkpoint)
    name = "pd" if checkpoint.startswith("pd-") else checkpoint.removesuffix("-style")
    method = METHODS.load(name).load(folder, device=CPU, dtype=torch.float32)
    asked: list[int] = []
    method.components["denoiser"].register_forward_hook(lambda *_: asked.append(1))
    prompts = tuple(prompt.text for prompt in suite.prompts(4))
    ours = method.sample(SampleRequest(prompts=prompts, seeds=(0, 1, 2, 3), num_inference_steps=steps))
    assert len(asked) == steps

    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    scale = method.recipe.guidance_scale
    if name == "lcm-lora":
        pipe.load_lora_weights(folder)
    if name.startswith("lcm"):
        pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config, original_inference_steps=50, clip_sample=False)
    if name == "add":
        pipe.scheduler = EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)
    if name == "pd":
        pipe.scheduler = DDIMScheduler.from_config(
            pipe.scheduler.config, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True
        )
    if name in ("add", "lcm-lora", "pd"):
        scale = 0.0
    generators = [torch.Generator().manual_seed(seed) for seed in range(4)]
    images = pipe(
        list(prompts), generator=generators, num_inference_steps=steps, guidance_scale=scale, output_type="pt"
    ).images
    theirs = (images * 255).round().to(torch.uint8)
    assert int((ours.int() - theirs.int()).abs().max()) <= 1

    other = [torch.Generator().manual_seed(seed + 9) for seed in range(4)]
    images = pipe(
        list(prompts), generator=other, num_inference_steps=steps, guidance_scale=scale, output_type="pt"
    ).images
    assert int((ours.int() - (images * 255).round().int()).abs().max()) > 30  # the comparison sees another noise
