"""A method, a metric and a suite from a package of your own."""

from dataclasses import replace
from itertools import islice
from statistics import NormalDist, fmean, stdev

from bench.metrics.interface import Metric, MetricInfo, Score
from bench.suites.shapes.suite import ShapesSuite
from methods.sampling import FixedScheduler
from methods.sdxl import SDXL


class SDXLEulerAncestral(SDXL):
    """A suite gives every method whose name begins with "sdxl-" its undistilled teacher."""

    info = replace(SDXL.info, name="sdxl-euler-a", title="SDXL, ancestral Euler")
    fixed_scheduler = FixedScheduler("EulerAncestralDiscreteScheduler", {})


class Colourfulness(Metric):
    """Hasler and Suesstrunk, "Measuring colourfulness in natural images", 2003."""

    info = MetricInfo("colourfulness", "Colourfulness", "", True, "", needs_reference=False, min_images=2)

    def __init__(self, context):
        self.values = []

    def update(self, batch):
        for red, green, blue in batch.images.double():
            rg, yb = red - green, (red + green) / 2 - blue
            self.values.append(float(rg.std().hypot(yb.std()) + 0.3 * rg.mean().hypot(yb.mean())))

    def compute(self):
        mean, n = fmean(self.values), len(self.values)
        half = NormalDist().inv_cdf(0.975) * stdev(self.values) / n**0.5  # of a 95 % interval
        return Score(
            self.info.name, mean, mean - half, mean + half, n, "", True, {"pixels": "sRGB"}, tuple(self.values)
        )


class RedShapes(ShapesSuite):
    """Those prompts of the embedded suite that ask for something red."""

    info = replace(ShapesSuite.info, name="red-shapes", title="Captions with red", prompts=1000, default_limit=200)

    def prompts(self, limit=None):
        red = (prompt for prompt in ShapesSuite().prompts(5000) if "red" in prompt.text.split())
        return list(islice(red, limit or self.info.default_limit))
