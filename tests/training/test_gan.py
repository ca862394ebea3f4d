"""The GAN: its generator against closed forms, its truncation by meaning, its game on a mixture."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import runner
from bench.cli import main
from bench.record import read_records
from bench.suites.shapes.generator.networks import POOLED_WIDTH, TEXT_WIDTHS, make_style_generator, make_vae
from bench.suites.shapes.training.eye import SMALL, make_eye
from methods.adversarial.features import FrozenFeatures
from methods.bases import Bases
from methods.distill.loop import train
from methods.errors import WeightsError
from methods.gan import StyleGAN
from methods.gan.generator import ModulatedConv, ResidualBlock, StyleGenerator, caption_vector
from methods.gan.guidance import ClipGuide, squared_angle
from methods.gan.objective import GanObjective
from methods.gan.recipe import GanRecipe
from methods.interface import Recipe, SampleRequest
from methods.loading import Loading, loading
from methods.recipes import write_recipe
from tests.training.test_add_mixture import BATCH, CENTRES, MODES, RADIUS, SPREAD, PlaneFeatures, batches, data, w2
from tests.training.tiny_add import PixelVae, draws, gradient_norm, latent_batch

CPU = torch.device("cpu")
N = 64


@pytest.fixture(scope="module")
def generator() -> StyleGenerator:
    torch.manual_seed(0)
    made = make_style_generator(channels=32)
    made.measure_mean_style(n=20_000)
    return made.eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def text(n: int, seed: int = 1) -> Tensor:
    """One caption for all."""
    return noise(1, sum(TEXT_WIDTHS) + POOLED_WIDTH, seed=seed).expand(n, -1)


def test_a_modulated_convolution_is_one_with_filters_of_its_own_for_each_image() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(6, 5, 3, 4)
    nn.init.normal_(layer.affine.weight)
    x, w = noise(3, 6, 8, 8), noise(3, 4, seed=1)
    found = layer(x, w)
    for image in range(3):
        a, b, c = layer.affine(w[image]).chunk(3)
        filters = layer.weight * (a * b + c)[None, :, None, None]
        unit = filters / filters.flatten(1).norm(dim=1)[:, None, None, None]
        assert torch.allclose(found[image], F.conv2d(x[image], unit, layer.bias, padding=1), atol=1e-5)
        assert not torch.allclose(found[image], F.conv2d(x[image], filters, layer.bias, padding=1), atol=1e-2)
    assert float(layer(noise(16, 6, 32, 32), noise(16, 4)).var().detach()) == pytest.approx(1.0, abs=0.2)


def test_a_residual_block_starts_as_the_identity_and_grows_with_its_scale() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(8, 4, layer_scale=1e-5)
    x, w = noise(2, 8, 4, 4), noise(2, 4)
    assert torch.allclose(block(x, w), x, atol=1e-3)
    with torch.no_grad():
        block.scale.fill_(1.0)
    assert not torch.allclose(block(x, w), x, atol=0.1)


def test_truncation_goes_from_all_variety_to_one_image_a_caption(generator: StyleGenerator) -> None:
    z, caption = noise(N, 64), text(N)
    with torch.no_grad():
        spread = [generator(z, caption, truncation_psi=psi).var(dim=0).mean() for psi in (1.0, 0.7, 0.3, 0.0)]
        plain, mean = generator(z, caption), generator(z, caption, truncation_psi=0.0)
        other = generator(z, text(N, seed=2), truncation_psi=0.0)
    assert all(float(more) > float(less) for more, less in pairwise(spread))
    assert float(spread[-1]) < 1e-10
    assert torch.equal(plain, generator(z, caption, truncation_psi=1.0).detach())
    assert not torch.allclose(mean[0], other[0], atol=1e-3)  # the caption is not truncated


def test_the_mean_style_is_the_mean_of_the_mapping(generator: StyleGenerator) -> None:
    z = F.normalize(noise(20_000, 64, seed=9), dim=1) * 8
    with torch.no_grad():
        styles = generator.mapping(z)
    error = 10 * float(styles.std(dim=0).max()) / 20_000**0.5  # five standard errors of the difference of two means
    assert torch.allclose(generator.mean_style, styles.mean(dim=0), atol=error)
    assert float(generator.mean_style.abs().max()) > error


def test_both_z_and_caption_matter_and_shapes_are_the_latents(generator: StyleGenerator) -> None:
    with torch.no_grad():
        images = generator(noise(4, 64), text(4))
        again = generator(noise(4, 64), text(4, seed=3))
    assert images.shape == (4, 8, 8, 8)
    assert not torch.allclose(images[0], images[1], atol=1e-3)
    assert not torch.allclose(images, again, atol=1e-3)
    assert caption_vector(noise(2, 5, 3), noise(2, 4)).shape == (2, 7)
    with pytest.raises(ValueError, match="power of two"):
        StyleGenerator(sample_size=12)


@pytest.fixture(scope="module")
def game(generator: StyleGenerator) -> GanObjective:
    torch.manual_seed(0)
    vae, features = make_vae().requires_grad_(False), FrozenFeatures(make_eye(), SMALL.depths)
    return GanObjective(generator.train(), 64, vae, features, POOLED_WIDTH, GanRecipe(), make_guide())


def make_guide() -> ClipGuide:
    """A random eye as the image half of a CLIP of 16 dimensions."""
    features = FrozenFeatures(make_eye(), SMALL.depths)
    return ClipGuide(features, nn.Linear(features.width, 16, bias=False))


def guided_batch(n: int) -> dict[str, Any]:
    return {**latent_batch(n), "caption": F.normalize(noise(n, 16, seed=5), dim=1)}


def clear(objective: GanObjective) -> None:
    for network in objective.trained.values():
        network.zero_grad(set_to_none=True)


def test_the_generator_learns_through_decoder_and_features_which_do_not(game: GanObjective) -> None:
    for term in ("adversarial", "clip"):
        clear(game)
        game.losses("student", guided_batch(4), draws())[term].backward()
        for name, parameter in game.generator.named_parameters():
            assert parameter.grad is not None, name
        assert gradient_norm(game.generator) > 0
        assert game.guide is not None
        frozen = (game.vae, game.features, game.guide)
        assert all(p.grad is None for network in frozen for p in network.parameters())


def test_clip_guidance_is_the_squared_angle_by_its_weight() -> None:
    """Its gradient goes down the angle, and exists where image and caption agree or are opposite."""
    angles = torch.tensor([0.0, 0.5, 1.0, 2.0])
    image = torch.stack([angles.cos(), angles.sin()], dim=1).requires_grad_()
    caption = torch.tensor([[1.0, 0.0]]).expand(4, -1)
    found = squared_angle(image, caption)
    assert float(found.detach()) == pytest.approx(float(angles.square().mean()), rel=1e-5)
    found.backward()
    assert image.grad is not None
    along = torch.stack([-angles.sin(), angles.cos()], dim=1)
    slope = (image.grad * along).sum(dim=1)
    assert torch.allclose(slope, 2 * angles / 4, atol=1e-4)
    for value in (1.0, -1.0):
        end = torch.tensor([[value, 0.0]], requires_grad=True)
        squared_angle(end, caption[:1]).backward()
        assert end.grad is not None
        assert bool(end.grad.isfinite().all())


def test_a_recipe_with_guidance_needs_a_guide_and_weighs_it(generator: StyleGenerator) -> None:
    vae, features = make_vae().requires_grad_(False), FrozenFeatures(make_eye(), SMALL.depths)
    guide = make_guide()

    def loss(weight: float) -> Tensor:
        recipe = GanRecipe(clip_weight=weight)
        torch.manual_seed(0)
        objective = GanObjective(generator, 64, vae, features, POOLED_WIDTH, recipe, guide)
        return objective.losses("student", guided_batch(4), draws())["clip"].detach()

    assert float(loss(0.2)) > 0
    assert torch.allclose(loss(0.4), 2 * loss(0.2))
    with pytest.raises(ValueError, match=r"clip_weight 0\.2 needs a guide"):
        GanObjective(generator, 64, vae, features, POOLED_WIDTH, GanRecipe())
    with pytest.raises(ValueError, match="clip_weight must be 0 or more"):
        GanRecipe(clip_weight=-1.0)


def test_the_discriminator_learns_from_both_terms_and_the_generator_does_not(game: GanObjective) -> None:
    for term in ("hinge", "r1"):
        game.losses("student", guided_batch(4), draws())
        clear(game)
        game.losses("discriminator", guided_batch(4), draws(1))[term].backward()
        assert gradient_norm(game.discriminator) > 0
        assert gradient_norm(game.generator) == 0
    with pytest.raises(RuntimeError, match="generator's losses come first"):
        game.losses("discriminator", guided_batch(4), draws(1))


class Points(nn.Module):
    """z (N, 2) -> points (N, 2, 1, 1); captions are not read."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, z: Tensor, _: Tensor) -> Tensor:
        made: Tensor = (z + self.body(z))[:, :, None, None]
        return made


def test_the_game_finds_the_modes_of_a_mixture() -> None:
    """From random weights and without a teacher; at the start the points are a blob on the centre."""
    torch.manual_seed(0)
    recipe = GanRecipe(
        augmentation=(), condition_text=False, clip_weight=0.0, head_norm="none", optimizer="adamw",
        discriminator_optimizer="adamw", generator_rate=4e-3, discriminator_rate=4e-3, ema_decay=0.95,
    )  # fmt: skip
    features: Any = PlaneFeatures()
    vae: Any = PixelVae()
    trained = GanObjective(Points(), 2, vae, features, 1, recipe)
    z = noise(504, 2, seed=77)
    before = w2(trained.generator(z, z)[:, :, 0, 0].detach(), data(504, 10**6))
    for log in train(trained, batches(0), recipe.training(steps=400, batch_size=BATCH, seed=0, warmup_steps=10)):
        averages = log.averages
    with torch.no_grad():
        made = averages["student"](z, z)[:, :, 0, 0]
    nearest = torch.cdist(made, CENTRES).min(dim=1)
    shares = torch.bincount(nearest.indices, minlength=MODES) / len(made)
    found = w2(made, data(504, 10**6))
    sys.stdout.write(
        f"\nW2 {before:.3f} before, {found:.3f} after, within a mode "
        f"{float((nearest.values < 5 * SPREAD).float().mean()):.2f}, mode shares "
        f"{' '.join(f'{share:.3f}' for share in shares.tolist())}\n"
    )
    assert found < RADIUS / 3 < before
    assert float(shares.min()) > 0, "a mode is lost"


def loaded(folder: Path) -> StyleGAN:
    return StyleGAN.load(folder, device=CPU, dtype=torch.float32)


def test_psi_is_in_the_recipe_or_chosen_on_a_loaded_method(tiny_gan: Path, tmp_path: Path) -> None:
    asked = SampleRequest(prompts=("a red circle",) * 3, seeds=(0, 1, 2), num_inference_steps=1)
    method = loaded(tiny_gan)
    images = [method.truncated(psi).sample(asked).float() for psi in (1.0, 0.5, 0.0)]
    assert torch.equal(images[0], method.sample(asked).float())
    assert float(images[2].var(dim=0).max()) == 0
    assert float(images[0].var(dim=0).mean()) > float(images[1].var(dim=0).mean()) > 0
    folder = Path(shutil.copytree(tiny_gan, tmp_path / "gan"))
    write_recipe(folder, replace(StyleGAN.default_recipe, scheduler_config={"truncation_psi": 0.5}))
    assert torch.equal(loaded(folder).sample(asked).float(), images[1])


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (replace(StyleGAN.default_recipe, scheduler_config={"truncation_psi": "much"}), "truncation_psi must be"),
        (replace(StyleGAN.default_recipe, scheduler_config={"psi": 1.0}), "truncation_psi in scheduler_config alone"),
        (Recipe(scheduler="LCMScheduler"), "scheduler 'none'"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(tiny_gan: Path, tmp_path: Path, recipe: Recipe, message: str) -> None:
    folder = Path(shutil.copytree(tiny_gan, tmp_path / "gan"))
    write_recipe(folder, recipe)
    with pytest.raises(WeightsError, match=message):
        loaded(folder)


def test_another_kind_of_pipeline_and_code_from_elsewhere_are_refused(
    tiny_gan: Path, tiny_pipeline: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="a StableDiffusionXLPipeline cannot be used; a GanPipeline is needed"):
        loaded(tiny_pipeline)
    folder = Path(shutil.copytree(tiny_gan, tmp_path / "gan"))
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    index["style_generator"][0] = "os"
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(WeightsError, match="code from a checkpoint is never run"):
        loaded(folder)
    asked = SampleRequest(prompts=("a red circle",), seeds=(0,), num_inference_steps=1, height=64, width=64)
    assert loaded(tiny_gan).unsupported(asked) == "64 x 64 pixels; this generator makes 32 x 32 alone"


def test_it_is_held_as_other_pipelines_are(tiny_gan: Path) -> None:
    asked = SampleRequest(prompts=("a red circle",), seeds=(0,), num_inference_steps=1)
    alone, bases = loaded(tiny_gan).sample(asked), Bases()
    with loading(Loading(bases=bases)):
        assert torch.equal(loaded(tiny_gan).sample(asked), alone)
        assert torch.equal(loaded(tiny_gan).sample(asked), alone)
    assert bases.loads == 1


def test_it_is_run_as_other_methods_are(tiny_gan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "TIMED_PROMPTS", 1)
    options = ["--steps", "1", "--limit", "4", "--device", "cpu", "--metrics", "clip-shapes", "--out", str(tmp_path)]
    assert main(["run", "--methods", "gan", "--weights", f"gan={tiny_gan}", *options]) == 0
    (record,) = read_records(tmp_path / "records")
    assert record.status == "ok"
    nfe = record.quantity("nfe")
    assert nfe is not None
    assert nfe.value == 1
