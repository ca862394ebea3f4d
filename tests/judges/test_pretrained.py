"""Adapters on tiny checkpoints of the published layout, against the libraries they stand on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cleanfid import fid as cleanfid
from cleanfid.inception_torchscript import InceptionV3W
from PIL import Image
from torchmetrics.functional.image.lpips import _NoTrainLpips
from torchmetrics.multimodal import CLIPScore
from transformers import CLIPModel, CLIPProcessor, CLIPTokenizer, Dinov2Model
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from bench.errors import UsageError, WeightsError
from bench.judging import Judges, Prompt, images_of
from bench.metrics.alignment import ClipScore, HpsV21, PickScore
from bench.metrics.clip import ClipShim
from bench.metrics.diversity import FeatureDiversity, LpipsDiversity, to_others
from bench.metrics.hub.inception import CleanInception, FidelityInception
from bench.metrics.hub.lpips import Lpips
from bench.metrics.inception import InceptionScore
from bench.metrics.interface import Metric, MetricBatch
from bench.metrics.kernel_clip import Cmmd
from bench.metrics.overlapping import Coverage, Precision
from bench.metrics.pretrained import FdDinov2, Fid, FidTensorflow, Kid
from bench.metrics.rewards import Aesthetic, ImageReward
from bench.metrics.weights import JudgeFiles
from tests.judges.make import hub_context, unpinned
from tests.metrics.tiny import feed, prompts, shapes

CPU = torch.device("cpu")
Folders = Mapping[str, Path]
SCORES = [ClipScore, PickScore, HpsV21, ImageReward, Aesthetic]
PARAMETRIZE = pytest.mark.parametrize("metric", SCORES, ids=lambda item: item.info.name)


def small(metric: type[Metric], fewest: int = 4) -> type[Metric]:
    """The metric with its demand for thousands of images taken away."""
    return type(metric.__name__, (metric,), {"info": replace(metric.info, min_images=fewest)})


@PARAMETRIZE
def test_scores_of_single_images(folders: Folders, metric: type[Metric]) -> None:
    images, given = shapes(12), hub_context(folders)
    whole, split = (feed(metric(given), images, sizes).compute() for sizes in (None, [5, 7]))
    assert split.per_image == pytest.approx(whole.per_image, rel=1e-4, abs=1e-4)  # float32 in batches of two sizes
    assert whole.n == 12
    assert whole.ci_low < whole.value < whole.ci_high
    assert len(set(whole.per_image or ())) == 12
    assert whole.protocol["judge_weights"]
    assert json.loads(json.dumps(asdict(whole), allow_nan=False))
    other = metric(given)
    other.update(MetricBatch(images, prompts(12, start=50), None))
    moved = other.compute().per_image != whole.per_image
    assert moved is metric.info.sees_prompts


@PARAMETRIZE
def test_weights_that_are_missing_are_one_line_with_source_and_licence(metric: type[Metric]) -> None:
    with pytest.raises(UsageError) as raised:
        metric(hub_context({}))
    text = str(raised.value)
    assert text.startswith(f"{metric.info.name} needs the weights of ")
    assert f"--metric-weights {metric.info.weights[0]}=" in text
    assert any(licence in text for licence in ("MIT", "Apache-2.0", "BSD"))
    assert "\n" not in text


def test_clip_score_is_torchmetrics(folders: Folders) -> None:
    images, texts = shapes(12), [prompt.text for prompt in prompts(12)]
    score = feed(ClipScore(hub_context(folders)), images).compute()
    folder = folders["clip-g"]
    values = json.loads((folder / "preprocessor_config.json").read_text())
    processor = CLIPProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32, **values), CLIPTokenizer.from_pretrained(folder)
    )
    reference = CLIPScore(lambda: (ClipShim(CLIPModel.from_pretrained(folder)), processor))  # type: ignore[arg-type]
    reference.update(images, texts)
    assert score.value == pytest.approx(float(reference.compute()), abs=1e-3)  # float32 cosines times 100


def test_the_other_scores_are_the_same_cosine_times_their_factor(folders: Folders) -> None:
    images = shapes(12)
    one, two, three = (feed(m(hub_context(folders)), images).compute() for m in (ClipScore, PickScore, HpsV21))
    scale = float(CLIPModel.from_pretrained(folders["pickscore"]).logit_scale.detach().exp())
    cosines = np.array(one.per_image) / 100
    assert np.array(two.per_image) == pytest.approx(scale * cosines, rel=1e-4)
    assert np.array(three.per_image) == pytest.approx(100 * cosines, rel=1e-4)
    assert three.value == pytest.approx(100 * cosines.mean(), rel=1e-4)


def test_a_prompt_of_500_words_keeps_its_end_token_and_is_counted(folders: Folders) -> None:
    metric = ClipScore(hub_context(folders))
    texts = [" ".join(["circle"] * 500), "\N{DOG FACE} \N{HEAVY BLACK HEART}", "a red circle", "x"]
    tokens = metric._tower.tokens(texts)["input_ids"]
    assert tokens.shape == (4, 77)
    assert tokens[0, -1] == metric._tower.tokenizer.eos_token_id  # cut after the end token, another embedding is read
    metric.update(MetricBatch(shapes(4), [Prompt(str(i), text, "") for i, text in enumerate(texts)], None))
    assert metric.compute().protocol["truncated_prompts"] == 1


def test_resizing_is_that_of_the_slow_processor(folders: Folders) -> None:
    from bench.metrics.hub.pixels import Pixels

    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (50, 41, 3), dtype=np.uint8)
    ours = Pixels(24)(torch.from_numpy(image).permute(2, 0, 1)[None])
    processor = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=24)
    theirs = processor(Image.fromarray(image), return_tensors="pt")["pixel_values"]
    assert torch.allclose(ours, theirs, atol=1e-5)  # float32 of numbers below 3
    tensor = torch.nn.functional.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None].float(), (29, 24))
    assert not torch.allclose(ours, tensor[:, :, 2:26] / 255, atol=0.1)


def test_dinov2_features_are_the_class_token(folders: Folders) -> None:
    metric = small(FdDinov2)(hub_context(folders))
    (extractor,) = metric.extractors
    images = shapes(3)
    big = [
        Image.fromarray(image.permute(1, 2, 0).numpy()).resize((224, 224), Image.Resampling.BICUBIC) for image in images
    ]
    pixels = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in big]).float() / 255
    pixels = (pixels - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
        :, None, None
    ]
    with torch.no_grad():
        expected = Dinov2Model.from_pretrained(folders["dinov2"])(pixels).pooler_output
    assert torch.allclose(extractor(images), expected, atol=1e-5)
    score = feed(small(FdDinov2)(hub_context(folders)), shapes(60)).compute()
    worse = feed(small(FdDinov2)(hub_context(folders)), 255 - shapes(60)).compute()
    assert 0 < score.value < worse.value


@pytest.mark.parametrize("mode", ["clean", "legacy_pytorch", "legacy_tensorflow"])
def test_inception_features_are_clean_fids_from_a_folder(folders: Folders, tmp_path: Path, mode: Any) -> None:
    images = shapes(4)
    for index, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / f"{index}.png")
    inside = mode == "legacy_tensorflow"
    expected = cleanfid.get_folder_features(
        str(tmp_path), InceptionV3W(str(folders["inception"]), download=False, resize_inside=inside),
        num_workers=0, batch_size=4, device=CPU, mode=mode, verbose=False,
    )  # fmt: skip
    ours = CleanInception(folders["inception"], "", CPU, mode)(images).numpy()
    assert ours == pytest.approx(expected, abs=1e-5)


def test_kid_sees_what_is_worse_and_shares_its_network_with_fid(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpinned(monkeypatch, folders["inception"])
    given = hub_context(folders)
    fid, other, kid = Fid(given), FidTensorflow(given), small(Kid)(given)
    assert fid.extractors == kid.extractors
    assert fid.extractors != other.extractors
    score = feed(kid, shapes(60)).compute()
    worse = feed(small(Kid)(given), 255 - shapes(60)).compute()
    assert abs(score.value) < worse.value
    assert score.protocol["resize"] == "clean-fid clean"
    with pytest.raises(ValueError, match="fid needs at least 1000 images, not 60"):
        feed(fid, shapes(60)).compute()


def test_cmmd_is_the_formula_on_the_embeddings_of_the_images(folders: Folders) -> None:
    """The authors' estimator with whole matrices, on what transformers' CLIP makes of the images."""
    given = hub_context(folders)
    assert given.reference_of is not None
    cmmd = small(Cmmd)(given)
    (tower,) = cmmd.extractors
    one, other = (rows.double().numpy() for rows in (tower(shapes(60)), given.reference_of(tower)))
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, other))

    def kernel(first: Any, second: Any) -> Any:
        squared = ((first[:, None] - second[None]) ** 2).sum(axis=2)
        return np.exp(-squared / (2 * 10**2))

    expected = 1000 * (kernel(one, one).mean() + kernel(other, other).mean() - 2 * kernel(one, other).mean())
    score = feed(cmmd, shapes(60)).compute()
    assert score.value == pytest.approx(max(0.0, expected), rel=1e-6, abs=1e-9)
    worse = feed(small(Cmmd)(given), 255 - shapes(60)).compute()
    assert score.value < worse.value
    assert worse.ci_low < worse.value < worse.ci_high
    assert {"extractor_weights", "kernel", "scale", "n", "reference", "resize"} <= set(score.protocol)
    with pytest.raises(ValueError, match="cmmd needs at least 50 images, not 12"):
        feed(Cmmd(given), shapes(12)).compute()


def test_precision_and_coverage_under_dinov2_where_the_suite_has_no_recogniser(folders: Folders) -> None:
    given = replace(hub_context(folders), judges=Judges())
    for metric in (Precision, Coverage):
        good, bad = (feed(metric(given), images).compute() for images in (shapes(40), 255 - shapes(40)))
        assert good.value > bad.value
        assert good.protocol["extractor"] == "dinov2"


class TinyFidelity(FidelityInception):
    """Features are channel means, 2,048 of them by repetition; the classes are those of a last layer of its own."""

    def __init__(self) -> None:
        self.weights_hash, self._device = "f" * 64, CPU
        self._network = torch.nn.Module()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(6)
            self._network.fc = torch.nn.Linear(6, 10)

    def __call__(self, images: Any) -> Any:
        return torch.cat([images.float().mean(dim=(2, 3)), images.float().std(dim=(2, 3))], dim=1) / 20


def test_the_inception_score_is_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.image.inception import InceptionScore as Theirs

    network = TinyFidelity()
    monkeypatch.setattr("bench.metrics.inception.fidelity_inception", lambda *_: network)
    images = shapes(60)
    score = feed(small(InceptionScore)(hub_context({})), images).compute()
    features = network(images)

    class Logits(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return features @ network._network.fc.weight.T

    theirs = Theirs(feature=Logits(), splits=1)
    theirs.update(images)
    with torch.random.fork_rng(devices=[]), pytest.warns(UserWarning, match="std"):
        mean, _ = theirs.compute()
    assert score.value == pytest.approx(float(mean), rel=1e-5)
    assert score.ci_low < score.value < score.ci_high
    assert score.protocol["splits"] == 1
    one = feed(small(InceptionScore)(hub_context({})), images[:1].repeat(60, 1, 1, 1)).compute()
    assert one.value == pytest.approx(1.0)  # one class
    with pytest.raises(ValueError, match="inception-score needs at least 1000 images, not 60"):
        feed(InceptionScore(hub_context({})), images).compute()


def test_an_inception_of_another_hash_is_refused(folders: Folders) -> None:
    with pytest.raises(WeightsError, match="is not the published f58cb9b6ec32; download https://nvlabs"):
        Fid(hub_context(folders))


def test_lpips_is_torchmetrics_on_every_pair(folders: Folders) -> None:
    images = torch.nn.functional.interpolate(shapes(3).float(), size=64).byte()
    ours = Lpips(folders["alexnet"], "", CPU)
    reference: Any = _NoTrainLpips(net="alex", pnet_rand=True)
    reference.net.load_state_dict(ours.network.net.state_dict())
    scaled = images.float() / 127.5 - 1
    matrix = ours(images)
    for i in range(3):
        for j in range(3):
            with torch.no_grad():
                expected = float(reference(scaled[i : i + 1], scaled[j : j + 1]))
            assert float(matrix[i, j]) == pytest.approx(expected, abs=1e-6)
    assert float(matrix[0, 1]) > 0


def test_diversity_of_known_images(folders: Folders) -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert to_others(features, [0, 0, 1, 1]).tolist() == [1.0, 1.0, 0.0, 0.0]  # orthogonal, then equal
    with pytest.raises(ValueError, match="at least 2 images of each prompt"):
        to_others(features[:3], [0, 0, 1])
    several = images_of(prompts(4), 2)
    for metric in (FeatureDiversity, LpipsDiversity):
        with pytest.raises(UsageError, match="run with --images-per-prompt 2 or more"):
            metric(hub_context(folders))
        images = torch.nn.functional.interpolate(shapes(8).float(), size=64).byte()
        values = []
        for shown in (images, images[::2].repeat_interleave(2, dim=0)):
            running = metric(hub_context(folders, images_per_prompt=2))
            running.update(MetricBatch(shown, several, None))
            values.append(running.compute())
        assert values[0].value > 0
        assert values[1].value == pytest.approx(0, abs=1e-6)
        assert values[0].protocol["images_per_prompt"] == 2
        assert len(values[0].per_image or ()) == 8


def test_a_pickle_and_weights_of_another_network_are_refused(folders: Folders, tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"pytorch_model.bin is a pickle, which can run any code; convert"):
        ClipScore(hub_context({"clip-g": tmp_path}))
    with pytest.raises(WeightsError, match=r"clip-g needs \*\.safetensors"):
        ClipScore(hub_context({"clip-g": folders["inception"]}))
    with pytest.raises(WeightsError, match="do not fit"):
        Aesthetic(hub_context({**folders, "aesthetic": folders["alexnet"]}))
    (tmp_path / "lacks").mkdir()
    for path in folders["clip-g"].iterdir():
        (tmp_path / "lacks" / path.name).write_bytes(path.read_bytes())
    from safetensors.torch import load_file, save_file

    state = load_file(tmp_path / "lacks" / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, tmp_path / "lacks" / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"the weights lack visual_projection\.weight"):
        ClipScore(hub_context({"clip-g": tmp_path / "lacks"}))  # transformers alone would fill it with noise


def test_hashes_follow_what_is_read(folders: Folders, tmp_path: Path) -> None:
    files = JudgeFiles({"clip-g": folders["clip-g"], "clip-l": folders["clip-l"]})
    assert files.hash("clip-g", "x") == files.hash("clip-l", "x")
    assert files.listing()["clip-g"] == files.listing()["clip-l"]
    for path in folders["clip-g"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "README.md").write_text("not read")
    assert JudgeFiles({"clip-g": tmp_path}).hash("clip-g", "x") == files.hash("clip-g", "x")
    (tmp_path / "preprocessor_config.json").write_text("{}")
    assert JudgeFiles({"clip-g": tmp_path}).hash("clip-g", "x") != files.hash("clip-g", "x")


@pytest.mark.slow
def test_torch_fidelitys_network_from_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file
    from torch_fidelity import feature_extractor_inceptionv3 as fidelity

    kind = fidelity.FeatureExtractorInceptionV3
    with monkeypatch.context() as patch:  # a network of random weights: nothing is downloaded or loaded
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(kind, "load_state_dict", lambda self, state: None)
        with torch.random.fork_rng(devices=[]):
            network = kind("random", ["2048", "logits_unbiased"]).eval()
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, tmp_path / "a.safetensors")
    with torch.no_grad():
        expected, logits = network(shapes(2))
    ours = FidelityInception(tmp_path, "", CPU)
    assert torch.equal(ours(shapes(2)), expected)
    assert torch.allclose(ours.classes(expected), logits.double().softmax(dim=1), atol=1e-6)
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="not torch-fidelity's Inception weights"):
        FidelityInception(tmp_path, "", CPU)
