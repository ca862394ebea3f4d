"""The Frechet distance against scipy, clean-fid, torchmetrics and closed forms.

Where both covariances have full rank, the methods differ by rounding: 1e-9 of the traces is a million times float64's
precision and far below what is printed. Where one is singular, a zero eigenvalue comes back as about 1e-16 of the
largest and its root as 1e-8, once a dimension; the other libraries carry that, so the tolerance is 1e-5 of the traces.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torchmetrics.image.fid import FrechetInceptionDistance

from bench.errors import FewstepError
from bench.metrics.distances import Gaussian, frechet_distance, gaussian
from bench.metrics.features import extract
from bench.metrics.frechet import (
    FrechetShapes,
    clean_fid_distance,
    clean_fid_features,
    torch_fidelity_distance,
    torchmetrics_distance,
)
from bench.metrics.interface import MetricBatch
from bench.metrics.statistics import Array
from tests.metrics.tiny import RandomExtractor, context, feed, prompts, shapes


def two_sets(width: int, n: int = 300, m: int = 400) -> tuple[Array, Array]:
    rng = np.random.default_rng(width)
    mixing = rng.normal(size=(width, width)) * np.arange(1, width + 1) ** -0.7
    return rng.normal(size=(n, width)) @ mixing + 0.2, np.maximum(rng.normal(size=(m, width)) @ mixing, 0)


def traces(*sides: Gaussian) -> float:
    return float(sum(np.trace(side.covariance) for side in sides))


@pytest.mark.parametrize("width", [2, 4, 32])
def test_all_five_agree_at_full_rank(width: int) -> None:
    first, second = two_sets(width)
    a, b = gaussian(first), gaussian(second)
    ours = frechet_distance(generated=a, reference=b)
    product_root = np.trace(sqrtm(a.covariance @ b.covariance)).real
    by_definition = ((a.mean - b.mean) ** 2).sum() + traces(a, b) - 2 * product_root
    tolerance = 1e-9 * traces(a, b)
    assert ours == pytest.approx(by_definition, abs=tolerance)
    assert ours == pytest.approx(clean_fid_distance(generated=a, reference=b), abs=tolerance)
    assert ours == pytest.approx(torchmetrics_distance(generated=first, reference=second), abs=tolerance)
    assert ours == pytest.approx(torch_fidelity_distance(generated=a, reference=b), abs=tolerance)
    wrong = ours + ((a.mean - b.mean) ** 2).sum()  # the mean counted twice is seen
    assert wrong != pytest.approx(by_definition, abs=tolerance)


def test_they_agree_with_fewer_images_than_dimensions() -> None:
    first, second = two_sets(32, n=20)
    a, b = gaussian(first), gaussian(second)
    ours = frechet_distance(generated=a, reference=b)
    assert ours == pytest.approx(torchmetrics_distance(generated=first, reference=second), abs=1e-5 * traces(a, b))
    assert ours == pytest.approx(clean_fid_distance(generated=a, reference=b), abs=1e-5 * traces(a, b))


def test_closed_form_of_commuting_gaussians() -> None:
    """Diagonal covariances: |m - m_w|^2 + sum (s - s_w)^2, with standard deviations s."""
    a = Gaussian(np.array([1.0, 2.0, 0.0]), np.diag([4.0, 1.0, 0.0]), 10)
    b = Gaussian(np.array([0.0, 2.0, 3.0]), np.diag([1.0, 9.0, 0.25]), 10)
    assert frechet_distance(generated=a, reference=b) == pytest.approx(10 + 1 + 4 + 0.25, abs=1e-9)


def test_one_dimension_by_hand() -> None:
    # means 2 and 5, variances 1 and 4: 9 + 1 + 4 - 2 * 2
    first, second = gaussian(np.array([[1.0], [2.0], [3.0]])), gaussian(np.array([[3.0], [5.0], [7.0]]))
    assert frechet_distance(generated=first, reference=second) == pytest.approx(10.0)


def test_the_metric_reports_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    given = context()
    score = feed(FrechetShapes(given), shapes(120)).compute()
    packages = {"clean-fid", "torchmetrics", "torch-fidelity"}
    assert set(score.parts) == {*packages, "fd-infinity"}
    for name in packages:
        assert score.parts[name] == pytest.approx(score.value, rel=1e-6)
    assert score.parts["fd-infinity"] < score.value
    monkeypatch.setattr("bench.metrics.frechet.MOST_CHECKED", 10)
    assert set(feed(FrechetShapes(given), shapes(120)).compute().parts) == {"fd-infinity"}  # checked in this run
    assert packages < set(feed(FrechetShapes(context()), shapes(120)).compute().parts)  # the first of another


def test_clean_fid_with_the_custom_extractor_gives_our_features() -> None:
    images = shapes(21)
    expected = extract(images, RandomExtractor()).numpy()
    got = clean_fid_features(images, RandomExtractor(), batch_size=8)
    np.testing.assert_allclose(got, expected, rtol=1e-5)  # float32, batches of other sizes


def test_clean_fid_would_resize_for_a_custom_extractor() -> None:
    """The trap: without a resize of our own, 32 x 32 images reach the extractor as 299 x 299."""
    from cleanfid.fid import get_model_features

    seen: list[tuple[int, ...]] = []

    def spy(images: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(images.shape))
        return images.float().mean(dim=(2, 3))

    with torch.random.fork_rng(devices=[]):
        get_model_features(
            lambda _z: shapes(2), spy, num_gen=2, batch_size=2, device=torch.device("cpu"), verbose=False
        )
    assert seen == [(2, 3, 299, 299)]


def test_torchmetrics_with_the_extractor_itself_on_images() -> None:
    """The pass-through network and the extractor on uint8 images give torchmetrics the same statistics."""

    class Network(torch.nn.Module):
        num_features = 24

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert images.dtype == torch.uint8
            return RandomExtractor()(images).double()

    real, fake = shapes(80, start=500), shapes(70)
    metric = FrechetInceptionDistance(feature=Network())
    metric.update(real, real=True)
    metric.update(fake, real=False)
    features = [extract(images, RandomExtractor()).double().numpy() for images in (fake, real)]
    ours = torchmetrics_distance(generated=features[0], reference=features[1])
    assert float(metric.compute()) == pytest.approx(ours, rel=1e-6)


def test_features_of_other_images_are_refused() -> None:
    images = shapes(40)
    right, wrong = extract(images, RandomExtractor()), extract(images, RandomExtractor(seed=8))
    given = FrechetShapes(context())
    given.update(MetricBatch(images=images, prompts=prompts(40), features=right))
    assert given.compute().value == feed(FrechetShapes(context()), images).compute().value
    for stale in (wrong, right.flip(0)):
        with pytest.raises(FewstepError, match="delete the feature cache"):
            FrechetShapes(context()).update(MetricBatch(images=images, prompts=prompts(40), features=stale))


def test_what_clean_fid_prints_stays_off_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    singular = Gaussian(np.zeros(3), np.zeros((3, 3)), 5)
    clean_fid_distance(generated=singular, reference=Gaussian(np.ones(3), np.eye(3), 5))
    assert capsys.readouterr().out == ""
