"""Every historical mistake in the design's table of traps has a test, and the test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTS: dict[str, tuple[str, ...]] = {
    # how the row begins -> tests that would fail if it bit us
    "per-step latency from step-end callbacks": (
        "harness/test_probe.py::test_parts_are_their_own_calls_and_sum_to_the_total",
        "harness/test_stock_pipeline.py::test_guidance_doubles_the_evaluations_and_parts_sum_to_the_total",
    ),
    "bootstrap standard error divided": (
        "metrics/test_statistics.py::test_coverage_check_fails_for_a_bootstrap_error_divided_by_root_b",
    ),
    "`scipy.linalg.sqrtm": ("layers/test_trap_libraries.py::test_the_square_root_of_scipy_is_not_used",),
    "KID subsets drawn": (
        "metrics/test_conformance.py::test_global_random_state_is_untouched",
        "metrics/test_conformance.py::test_the_random_state_check_sees_clean_fids_kernel_distance",
    ),
    "`(x * 255).byte()`": ("reference/test_sampling_stock.py::test_rounding_is_to_the_nearest_level",),
    "CLIP text over 77": (
        "judges/test_pretrained.py::test_a_prompt_of_500_words_keeps_its_end_token_and_is_counted",
        "reference/test_metrics_clip.py::test_long_texts_keep_their_end_token_and_need_no_cutting_by_torchmetrics",
    ),
    "precision and recall swapped": (
        "meaning/test_metrics_sets.py::test_swapped_sets_do_not_give_the_same_pseudo_values",
        "reference/test_metrics_sets.py::test_torch_fidelity_agrees_on_precision_and_recall",
    ),
    "one seed for all images": (
        "reference/test_diffusion_guidance.py::test_seed_zero_is_a_seed",
        "harness/test_parts.py::test_requests_cover_every_prompt_once_with_its_own_seed",
        "released/test_guard.py::test_both_spellings_of_no_guidance_are_none",
    ),
    "JPEG before FID": (
        "harness/test_parts.py::test_the_store_is_lossless",
        "metrics/test_conformance.py::test_score_is_complete_and_fits_a_record",
    ),
    "file name holds a timestamp": ("harness/test_run.py::test_a_slice_with_a_missing_or_cut_image_is_sampled_whole",),
    "Turbo without EulerAncestral": (
        "released/test_guard.py::test_a_known_mistake_is_named",
        "released/test_doctor.py::test_a_mistake_beside_the_weights_is_named",
    ),
    "a generator on the CPU reads": (
        "harness/test_several_images.py::test_the_generator_reads_low_bits_only_and_our_seeds_differ_there",
    ),
    "transformers fills weights": ("reference/test_sampling_weights.py::test_a_missing_tensor_is_not_made_up",),
    "index used as a timestep": (
        "training/test_add_distillation.py::test_the_weights_are_functions_of_alpha_and_not_of_an_index",
        "training/test_add_discriminator.py::test_r1_trains_the_heads",
        "training/test_add_discriminator.py::test_augmentation_changes_each_image_and_passes_gradients",
    ),
    "float grid": ("reference/test_diffusion_timesteps.py::test_a_floored_floating_point_grid_would_be_wrong",),
    "eps-prediction at zero terminal SNR": (
        "reference/test_diffusion_prediction.py::test_noise_prediction_at_zero_terminal_snr_is_refused_with_the_fix",
    ),
    "TF32 switched on": ("harness/test_parts.py::test_numerics_are_set_and_given_back",),
    "the SDXL pipeline's null condition": (
        "reference/test_sampling_stock.py::test_the_null_condition_is_zeros_and_time_ids_are_those_of_an_uncropped_image",
    ),
    "`add_watermarker` defaults": ("layers/test_trap_libraries.py::test_no_image_gets_a_watermark",),
    "`latents_mean` is hard-coded": ("layers/test_trap_libraries.py::test_latents_of_eight_channels_have_no_mean",),
    "guidance 0.0 and 1.0": ("released/test_guard.py::test_both_spellings_of_no_guidance_are_none",),
    "custom extractor still resized": (
        "judges/test_pretrained.py::test_inception_features_are_clean_fids_from_a_folder",
    ),
    "`get_*_features`": (
        "reference/test_metrics_clip.py::test_long_texts_keep_their_end_token_and_need_no_cutting_by_torchmetrics",
    ),
    "percentile bootstrap": (
        "metrics/test_coverage.py::test_the_percentile_bootstrap_of_a_frechet_distance_never_covers",
    ),
    "image-reward and hpsv2 wheels": ("layers/test_trap_libraries.py::test_wheels_that_do_not_import_are_not_needed",),
    "fused attention of a CPU": ("latency/test_work.py::test_the_fused_attention_of_a_cpu_would_not_be_counted",),
    "SDXL's decoder is cast": (
        "latency/test_apply.py::test_a_part_that_is_cast_while_it_runs_is_found_and_not_captured",
    ),
    "p99 of 20 calls": ("latency/test_summary.py::test_p99_of_too_few_calls_does_not_cover",),
    "a shared pipeline hands": (
        "latency/test_loading.py::test_a_scheduler_leaves_nothing_to_the_next_method",
        "hub/test_resolve.py::test_loras_on_one_base_load_it_once_and_leave_no_trace",
    ),
    "hard latency thresholds flake": (
        "gate/test_selftest.py::test_naive_gates_raise_false_alarms",
        "gate/test_selftest.py::test_equal_sides_raise_no_alarm",
    ),
    "slopes of two lines cannot be told apart": (
        "latency/test_scaling.py::test_slopes_that_cannot_be_told_apart_do_not_make_latencies_equal",
    ),
    "images of one prompt taken for independent": (
        "metrics/test_clusters.py::test_several_images_of_a_prompt_widen_the_interval_of_its_score",
    ),
    "a mapped file of features that is cut short": (
        "metrics/test_features.py::test_nothing_but_whole_safetensors_is_left_behind",
    ),
    "a disk that fills up takes a part": (
        "harness/test_survival.py::test_a_disk_that_takes_a_part_without_complaint_is_noticed",
    ),
    "lines appended after a checkpoint": (
        "torture/test_kill.py::test_a_killed_run_ends_with_the_bytes_of_one_that_was_not",
    ),
    "a table written at the end of a run": ("torture/test_kill.py::test_killed_again_and_again_it_ends_all_the_same",),
    "an image viewer's library": ("torture/test_hostile.py::test_parsers_refuse_what_is_hostile",),
    "networks of constant weights": (
        "latency/test_architectures.py::test_weights_are_random_scaled_and_the_same_every_time",
    ),
}


def rows() -> list[str]:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8").partition("## Known traps")[2]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [line.strip("| ").partition(" | ")[0] for line in lines if not re.match(r"\| trap \|", line)]


def test_every_row_of_the_table_is_known_here() -> None:
    unknown = [row for row in rows() if not any(row.startswith(known) for known in TESTS)]
    assert unknown == []
    gone = [known for known in TESTS if not any(row.startswith(known) for row in rows())]
    assert gone == []


@pytest.mark.parametrize("node", sorted({node for nodes in TESTS.values() for node in nodes}))
def test_its_tests_are_there(node: str) -> None:
    file, _, name = node.partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    assert name in {item.name for item in ast.walk(tree) if isinstance(item, ast.FunctionDef)}
