"""Which timesteps a sampler visits. Integers 0..T-1, noisiest first, in integer arithmetic.

Trailing spacing: Lin et al., arXiv 2305.08891, table 2. The consistency model's grid and its skipping step: Luo et al.,
arXiv 2310.04378, as diffusers' `LCMScheduler` has them.

    paper     here
    T         num_train_timesteps
    S         num_inference_steps
    k         the skipping step, num_train_timesteps // original_inference_steps
"""

from __future__ import annotations


def trailing_timesteps(num_inference_steps: int, num_train_timesteps: int = 1000) -> tuple[int, ...]:
    """`round((S - i) T / S) - 1` for i = 0..S-1: starts at T-1 for every S, a half rounding to the even neighbour.

    diffusers computes the same in floating point. Above 47 steps of 1000 a half may fall on its other side there, and
    at some counts (61 is the first) its grid has one timestep too many, a -1 at the end.

    Raises:
        ValueError: for fewer than 1 or more than `num_train_timesteps` steps.
    """
    _check(num_inference_steps, num_train_timesteps)
    return tuple(
        _divide_half_even((num_inference_steps - i) * num_train_timesteps, num_inference_steps) - 1
        for i in range(num_inference_steps)
    )


def consistency_grid(original_inference_steps: int = 50, num_train_timesteps: int = 1000) -> tuple[int, ...]:
    """The timesteps that a consistency model is distilled on: `i k - 1` for i = S..1, noisiest first.

    Raises:
        ValueError: for fewer than 1 or more than `num_train_timesteps` grid points.
    """
    _check(original_inference_steps, num_train_timesteps)
    skipping_step = num_train_timesteps // original_inference_steps
    return tuple(i * skipping_step - 1 for i in range(original_inference_steps, 0, -1))


def consistency_timesteps(
    num_inference_steps: int, original_inference_steps: int = 50, num_train_timesteps: int = 1000
) -> tuple[int, ...]:
    """The grid points that a consistency model is sampled on: every (S / n)-th, rounded down, from the noisiest.

    Raises:
        ValueError: for fewer than 1 or more steps than the grid has points.
    """
    _check(num_inference_steps, original_inference_steps)
    grid = consistency_grid(original_inference_steps, num_train_timesteps)
    return tuple(grid[i * original_inference_steps // num_inference_steps] for i in range(num_inference_steps))


def piecewise_timesteps(num_inference_steps: int, windows: int = 4, num_train_timesteps: int = 1000) -> tuple[int, ...]:
    """Those of a piecewise rectified flow: steps shared out over equal windows, evenly inside each, T for the noise.

    PeRFlow (arXiv 2405.07510) cuts off what its floating-point grid gives, and so does this.

    Raises:
        ValueError: for fewer steps than windows.
    """
    _check(num_inference_steps, num_train_timesteps, least=windows)
    found: list[int] = []
    for index in range(windows):
        count = num_inference_steps // windows + (index < num_inference_steps % windows)
        start, end = (windows - index) / windows, (windows - index - 1) / windows
        found += [int((start + k * ((end - start) / count)) * num_train_timesteps) for k in range(count)]
    return tuple(found)


def flow_timesteps(
    num_inference_steps: int, shift: float = 1.0, *, down_to_zero: bool = False, num_train_timesteps: int = 1000
) -> tuple[float, ...]:
    """Noise levels of flow matching times T: even from 1 on, then `shift s / (1 + (shift - 1) s)` (arXiv 2403.03206).

    FLUX.1 divides the way from 1 to 0 into as many parts as there are steps (`down_to_zero`). SD 3's own code spaces
    the steps from the highest to the lowest level of training, both shifted already, and shifts once more.

    Raises:
        ValueError: for fewer than 1 or more than `num_train_timesteps` steps.
    """
    _check(num_inference_steps, num_train_timesteps)
    n = num_inference_steps
    if down_to_zero:
        levels = [1.0 - i / n for i in range(n)]
    else:
        lowest = _shifted(1 / num_train_timesteps, shift)
        levels = [1.0 - i * (1.0 - lowest) / max(n - 1, 1) for i in range(n)]
    return tuple(num_train_timesteps * _shifted(level, shift) for level in levels)


def _shifted(level: float, shift: float) -> float:
    return shift * level / (1 + (shift - 1) * level)


def _divide_half_even(numerator: int, denominator: int) -> int:
    """The quotient rounded to the nearest integer, a half to the even one."""
    quotient, remainder = divmod(numerator, denominator)
    above = 2 * remainder - denominator
    return quotient + (above > 0 or (above == 0 and quotient % 2 == 1))


def _check(steps: int, most: int, least: int = 1) -> None:
    if not least <= steps <= most:
        raise ValueError(f"the number of steps must be {least} to {most}, got {steps}")
