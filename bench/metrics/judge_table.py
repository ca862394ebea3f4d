"""Which pretrained judges there are, and where their weights come from. Data; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class WeightsInfo:
    """One pretrained judge: `source` is a hub repository or the address of a file, `files` the patterns that are read.

    `sha256` pins the one file of a judge that is not in a safe format. `on_hub` says that `bench fetch --judges` gets
    it; where it cannot, `note` says how the files are made. `pickle` is the one published file, OWNER/NAME/FILE, that
    is read as weights alone and renamed once; the configurations and words beside it are those of model `config`.
    """

    name: str
    title: str
    source: str
    licence: str
    files: tuple[str, ...]
    sha256: str | None = None
    on_hub: bool = True
    note: str = ""
    pickle: str | None = None
    config: str | None = None


_TRANSFORMERS = ("config.json", "*.safetensors")
_CLIP = (
    *_TRANSFORMERS,
    "preprocessor_config.json",
    "tokenizer*.json",
    "vocab.json",
    "merges.txt",
    "special_tokens*.json",
)
CONVERT = "convert the published file once with `python -m bench.metrics.hub.convert`"

WEIGHTS: Mapping[str, WeightsInfo] = {
    info.name: info
    for info in (
        WeightsInfo(
            "inception",
            "Inception v3 of 2015-12-05 as TorchScript, which clean-fid uses",
            "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
            "Apache-2.0 (the TensorFlow network)",
            ("inception-2015-12-05.pt",),
            sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
            on_hub=False,
            note="download it",
        ),
        WeightsInfo(
            "inception-fidelity",
            "the same network as torch-fidelity and torchmetrics hold it",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
            "Apache-2.0",
            ("*.safetensors",),
            on_hub=False,
            note=CONVERT,
        ),
        WeightsInfo("dinov2", "DINOv2 ViT-L/14", "facebook/dinov2-large", "Apache-2.0", _TRANSFORMERS),
        WeightsInfo(
            "clip-g", "OpenCLIP ViT-g-14, laion2b_s12b_b42k", "laion/CLIP-ViT-g-14-laion2B-s12B-b42K", "MIT", _CLIP
        ),
        WeightsInfo("clip-l", "OpenAI CLIP ViT-L/14", "openai/clip-vit-large-patch14", "MIT", _CLIP),
        WeightsInfo(
            "clip-l-336", "OpenAI CLIP ViT-L/14 at 336 pixels", "openai/clip-vit-large-patch14-336", "MIT", _CLIP
        ),
        WeightsInfo("pickscore", "PickScore v1 (CLIP ViT-H-14)", "yuvalkirstain/PickScore_v1", "MIT", _CLIP),
        WeightsInfo(
            "hpsv2",
            "HPS v2.1 (CLIP ViT-H-14)",
            "https://huggingface.co/xswu/HPSv2 HPS_v2.1_compressed.pt",
            "Apache-2.0",
            _CLIP,
            note=CONVERT,
            pickle="xswu/HPSv2/HPS_v2.1_compressed.pt",
            config="laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        ),
        WeightsInfo(
            "image-reward",
            "ImageReward v1.0 (BLIP ViT-L and a head)",
            "https://huggingface.co/THUDM/ImageReward ImageReward.pt",
            "Apache-2.0",
            ("config.json", "*.safetensors", "tokenizer*.json", "vocab.txt", "special_tokens*.json"),
            note=CONVERT,
            pickle="THUDM/ImageReward/ImageReward.pt",
            config="google-bert/bert-base-uncased",
        ),
        WeightsInfo(
            "aesthetic",
            "LAION aesthetic predictor v2, linear head on CLIP ViT-L/14",
            "https://github.com/christophschuhmann/improved-aesthetic-predictor sac+logos+ava1-l14-linearMSE.pth",
            "Apache-2.0",
            ("*.safetensors",),
            on_hub=False,
            note=CONVERT,
        ),
        WeightsInfo(
            "alexnet",
            "torchvision's AlexNet, under LPIPS",
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            "BSD-3-Clause; LPIPS BSD-2-Clause",
            ("*.safetensors",),
            on_hub=False,
            note=CONVERT,
        ),
    )
}
