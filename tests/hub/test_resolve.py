"""From a name to a pipeline that samples: hub ids, single files and LoRAs give the images of the stock pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from methods.bases import Bases
from methods.errors import FewstepError, UsageError, WeightsError
from methods.hub import lock
from methods.hub.memory import check_memory, needed_bytes, weights_bytes
from methods.hub.reference import HubId
from methods.hub.resolve import describe, onto_base, pipeline_folder, resolve, resolve_wanted, row_folder
from methods.hub.views import sources_of
from methods.hub.wanted import Wanted
from methods.interface import SampleRequest
from methods.lcm import LCMLoRA
from methods.loading import Loading, loading
from methods.pipelines import load_pipeline
from methods.sampling import PipelineMethod
from methods.sdxl import SDXLEuler
from methods.weights import LORA
from tests.hub.hub import REPO, folder_files, sha, write_cache
from tests.hub.test_fetch import Line

CPU = torch.device("cpu")
UNET = "unet/diffusion_pytorch_model.safetensors"
REQUEST = SampleRequest(("a red circle", "two blue squares"), (3, 4), 1)


def image(method: type[PipelineMethod], folder: Path) -> Tensor:
    return method.load(folder, device=CPU, dtype=torch.float32).sample(REQUEST)


@pytest.fixture
def cached(caches: Path, tiny_pipeline: Path) -> Path:
    """The tiny pipeline in the hub's cache, as another program left it."""
    return write_cache(caches, REPO, folder_files(tiny_pipeline))


def test_a_model_in_the_cache_gives_the_stock_pipelines_image(cached: Path, tiny_pipeline: Path) -> None:
    folder = resolve(REPO)
    assert torch.equal(image(SDXLEuler, folder), image(SDXLEuler, tiny_pipeline))
    assert resolve(f"{REPO}@{cached.name}") == folder
    assert describe(folder) == f"{REPO}@{cached.name[:12]} ({len(folder_files(tiny_pipeline))} files, sha256 checked)"
    assert lock.locked_files(REPO, cached.name)[UNET] == sha((tiny_pipeline / UNET).read_bytes())
    assert sources_of(folder)[0]["commit"] == cached.name
    StableDiffusionXLPipeline.from_pretrained(folder)  # an ordinary folder


def test_a_file_that_changed_after_the_first_load_is_found_at_the_next(cached: Path) -> None:
    folder = resolve(REPO)
    blob = (cached / UNET).resolve()
    data = bytearray(blob.read_bytes())
    data[-5] ^= 1
    blob.write_bytes(data)
    with pytest.raises(WeightsError, match=f"sha256 {sha(bytes(data))}, but .* was recorded when it was fetched"):
        resolve(REPO)
    with pytest.raises(WeightsError, match="damaged: sha256"):
        load_pipeline(folder, device=CPU, dtype=torch.float32)


def test_a_cache_that_was_never_right_is_refused_at_the_first_load(cached: Path) -> None:
    blob = (cached / UNET).resolve()
    blob.write_bytes(blob.read_bytes()[:-10])
    with pytest.raises(WeightsError, match=f"but {blob.name} was recorded"):
        resolve(REPO)


def test_what_is_not_there_names_the_command(caches: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"`python -m bench fetch someone/else@v1` fetches it"):
        resolve("someone/else@v1")
    with pytest.raises(WeightsError, match=r"there is no folder \./nowhere"):
        resolve("./nowhere")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(WeightsError, match=r"name a pipeline folder, a .safetensors file, or a model on the hub"):
        resolve(str(tmp_path / "notes.txt"))
    assert not caches.exists()


def test_a_model_that_is_not_complete_names_the_command(cached: Path) -> None:
    (cached / "vae/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsError, match=rf"no safetensors for vae.*`python -m bench fetch {REPO}`"):
        resolve(REPO)


def test_a_denoiser_in_one_file_is_put_onto_its_base(caches: Path, tiny_pipeline: Path, tmp_path: Path) -> None:
    tensors = {name: 0.5 * tensor for name, tensor in load_file(tiny_pipeline / UNET).items()}
    save_file(tensors, tmp_path / "half.safetensors", {"format": "pt"})
    folder = pipeline_folder(resolve(str(tmp_path / "half.safetensors")), lambda: tiny_pipeline)
    found = load_pipeline(folder, device=CPU, dtype=torch.float32)
    assert all(torch.equal(value, tensors[name]) for name, value in found.unet.state_dict().items())
    assert describe(folder) == f"half.safetensors (sha256 {sha((tmp_path / 'half.safetensors').read_bytes())[:12]})"
    assert pipeline_folder(tiny_pipeline, lambda: folder) == tiny_pipeline


def test_an_input_for_the_guidance_scale_is_put_into_the_configuration(
    caches: Path, tiny_pipeline: Path, tiny_embedded_pipeline: Path
) -> None:
    folder = onto_base(tiny_embedded_pipeline / UNET, tiny_pipeline)
    assert json.loads((folder / "unet/config.json").read_text())["time_cond_proj_dim"] == 16
    assert load_pipeline(folder, device=CPU, dtype=torch.float32).unet.config.time_cond_proj_dim == 16
    network = onto_base(tiny_embedded_pipeline / "unet", tiny_pipeline)  # a folder with the network alone
    assert (network / UNET).resolve() == (folder / UNET).resolve()
    back = onto_base(tiny_pipeline / UNET, folder)
    assert json.loads((back / "unet/config.json").read_text())["time_cond_proj_dim"] is None


def test_a_lora_in_one_file_is_put_onto_its_base(caches: Path, tiny_pipeline: Path, tiny_lora_pipeline: Path) -> None:
    folder = pipeline_folder(tiny_lora_pipeline / LORA, lambda: tiny_pipeline)
    assert torch.equal(image(LCMLoRA, folder), image(LCMLoRA, tiny_lora_pipeline))
    plain, adapted = image(SDXLEuler, tiny_pipeline), image(SDXLEuler, folder)
    assert not torch.equal(plain, adapted)  # whoever samples a folder with a LoRA samples the LoRA


def test_files_that_do_not_fit(caches: Path, tiny_pipeline: Path, tiny_lora_pipeline: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    tensors = load_file(tiny_lora_pipeline / LORA)
    first = next(name for name in tensors if name.endswith("lora_A.weight"))
    save_file({**tensors, first: torch.zeros(tensors[first].shape[0], 768)}, wrong)
    with pytest.raises(WeightsError, match=r"from 768 \(SD 1.5's text\)"):
        onto_base(wrong, tiny_pipeline)
    save_file({"model.diffusion_model.x": torch.zeros(1)}, wrong)
    with pytest.raises(WeightsError, match="a whole pipeline in one file, but not one of this base's kind"):
        onto_base(wrong, tiny_pipeline)
    save_file({"vae.weight": torch.zeros(1)}, wrong)
    with pytest.raises(WeightsError, match="it is of another architecture"):
        onto_base(wrong, tiny_pipeline)
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="has no unet and no transformer"):
        onto_base(wrong, tmp_path / "empty")


def test_rows_of_the_table(caches: Path, tiny_pipeline: Path, tiny_lora_pipeline: Path) -> None:
    write_cache(caches, "some/base", folder_files(tiny_pipeline))
    write_cache(caches, "some/lora", {"four_steps.safetensors": (tiny_lora_pipeline / LORA).read_bytes()})
    row = Line("lora", "some/lora", "four_steps.safetensors", base="some/base")
    assert (row_folder(row) / LORA).read_bytes() == (tiny_lora_pipeline / LORA).read_bytes()
    assert (row_folder(row) / UNET).read_bytes() == (tiny_pipeline / UNET).read_bytes()
    assert [source.get("repo") for source in sources_of(row_folder(row))] == ["some/base", "some/lora"]
    missing = Line("unet", "some/other", "one.safetensors", base="some/base", method="lightning")
    with pytest.raises(
        WeightsError, match=r"some/other/one.safetensors is not .*fetch --methods lightning --family sdxl"
    ):
        row_folder(missing)
    with pytest.raises(WeightsError, match="no weights of it are public"):
        row_folder(Line("pipeline", None))
    with pytest.raises(WeightsError, match="but 0000"):
        resolve_wanted(Wanted(HubId("some/lora", "main", "four_steps.safetensors"), sha256="0" * 64))


def test_a_tensor_of_another_shape_is_named_with_its_component(copy_of_tiny: Callable[[], Path]) -> None:
    folder = copy_of_tiny()
    tensors = load_file(folder / UNET)
    save_file({**tensors, "conv_in.weight": torch.zeros(3, 4, 3, 3)}, folder / UNET, {"format": "pt"})
    with pytest.raises(WeightsError, match=r"unet: conv_in.weight is \(3, 4, 3, 3\) in its file, but its config.json"):
        load_pipeline(folder, device=CPU, dtype=torch.float32)
    save_file({**tensors, "conv_in.weight": torch.zeros(3, 4, dtype=torch.int8)}, folder / UNET, {"format": "pt"})
    with pytest.raises(WeightsError, match=rf"{UNET}: conv_in.weight is stored as I8"):
        load_pipeline(folder, device=CPU, dtype=torch.float32)


def test_loras_on_one_base_load_it_once_and_leave_no_trace(
    caches: Path, tiny_pipeline: Path, tiny_lora_pipeline: Path, tmp_path: Path
) -> None:
    stronger = {name: 3 * tensor for name, tensor in load_file(tiny_lora_pipeline / LORA).items()}
    save_file(stronger, tmp_path / "stronger.safetensors")
    other = onto_base(tmp_path / "stronger.safetensors", tiny_pipeline)
    order = [(LCMLoRA, tiny_lora_pipeline), (LCMLoRA, other), (SDXLEuler, tiny_pipeline)]
    alone = [image(method, folder) for method, folder in order]
    bases = Bases()
    with loading(Loading(bases=bases)):
        shared = [image(method, folder) for method, folder in order]
    assert bases.loads == 1
    for ours, fresh in zip(shared, alone, strict=True):
        assert torch.equal(ours, fresh)
    assert not torch.equal(alone[0], alone[1])


def test_a_lora_that_is_not_undone_would_be_seen(
    tiny_pipeline: Path, tiny_lora_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = image(SDXLEuler, tiny_pipeline)
    monkeypatch.setattr(Bases, "touch", lambda *_: None)
    with loading(Loading(bases=Bases())):
        image(LCMLoRA, tiny_lora_pipeline)
        assert not torch.equal(image(SDXLEuler, tiny_pipeline), alone)


def test_another_base_is_loaded_and_the_last_is_let_go(tiny_pipeline: Path, tiny_embedded_pipeline: Path) -> None:
    bases = Bases()
    with loading(Loading(bases=bases)):
        for folder in (tiny_pipeline, tiny_embedded_pipeline, tiny_pipeline):
            load_pipeline(folder, device=CPU, dtype=torch.float32)
        load_pipeline(tiny_pipeline, device=CPU, dtype=torch.float16)
    assert bases.loads == 4
    bases.let_go(tiny_embedded_pipeline, CPU, torch.float16)
    assert bases.take(tiny_pipeline, CPU, torch.float16) is None


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_memory_is_known_before_anything_is_loaded(tiny_pipeline: Path, dtype: str) -> None:
    sizes = weights_bytes(tiny_pipeline, dtype)
    pipe = load_pipeline(tiny_pipeline, device=CPU, dtype=getattr(torch, dtype))
    for name, size in sizes.items():
        held = sum(value.nbytes for value in getattr(pipe, name).parameters())
        assert held <= size <= held + 1024  # the file may hold indices beside the parameters
    assert needed_bytes(sizes) == sum(sizes.values())
    assert needed_bytes(sizes, "model") == max(sizes.values())
    assert needed_bytes(sizes, "sequential") < needed_bytes(sizes, "model")


def test_a_pipeline_that_does_not_fit_is_refused_with_what_would(
    tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = sum(weights_bytes(tiny_pipeline, "float32").values())
    check_memory(tiny_pipeline, "float32", "cuda", total)
    check_memory(tiny_pipeline, "float32", "cuda", None)
    with pytest.raises(FewstepError) as caught:
        check_memory(tiny_pipeline, "float32", "cuda", total - 1)
    for part in ("unet", "vae", "text_encoder_2", "--dtype float16", "--offload model", "--offload sequential"):
        assert part in str(caught.value)
    monkeypatch.setattr("methods.loading.free_host_bytes", lambda: total - 1)
    with pytest.raises(FewstepError, match="are free on the machine; --dtype float16 takes"):
        load_pipeline(tiny_pipeline, device=CPU, dtype=torch.float32)
    with loading(Loading("model")), pytest.raises(UsageError, match="--offload model needs a GPU"):
        load_pipeline(tiny_pipeline, device=CPU, dtype=torch.float32)


def test_slicing_changes_no_pixel_by_more_than_rounding(tiny_pipeline: Path) -> None:
    plain = image(SDXLEuler, tiny_pipeline)
    with loading(Loading(slicing=True)):
        sliced = image(SDXLEuler, tiny_pipeline)
    assert (plain.int() - sliced.int()).abs().max() <= 1  # one level of 255: sums in another order
