"""PSNR and SSIM equal scikit-image's."""

import numpy as np
import pytest

from ddp_video.metrics.similarity import luma, psnr, ssim

skimage = pytest.importorskip("skimage.metrics", reason="scikit-image is in the [dev] extra")


def pictures(seed, size):
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 256, size, np.uint8)
    change = generator.normal(0, [1, 8, 60][seed % 3], size)
    return first, np.clip(first + change, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [(64, 90), (11, 11), (12, 57)])
def test_equal_to_scikit_image(seed, size):
    first, second = pictures(seed, size)
    assert psnr(first, second) == pytest.approx(
        skimage.peak_signal_noise_ratio(first, second, data_range=255), abs=1e-9
    )
    expected = skimage.structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim(first, second) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("value", [0, 3, 255])
def test_flat_and_almost_flat_pictures(value):
    first = np.full((40, 50), value, np.uint8)
    second = first.copy()
    second[20, 20] ^= 1
    expected = skimage.structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim(first, second) == pytest.approx(expected, abs=2e-6)


def test_identical_and_nearly_identical_pictures():
    first, _ = pictures(0, (20, 20))
    assert psnr(first, first) == 100 and ssim(first, first) == pytest.approx(1, abs=1e-6)
    large = np.zeros((3000, 3000), np.uint8)
    changed = large.copy()
    changed[0, 0] = 1
    assert psnr(large, changed) == 100  # 117.7 dB, capped like identical ones


@pytest.mark.parametrize("size", [(1, 1), (5, 30), (30, 5)])
def test_pictures_smaller_than_the_window(size):
    first, second = pictures(1, size)
    assert -1 <= ssim(first, second) <= 1 and ssim(first, first) == pytest.approx(1, abs=1e-6)


def test_luma_weights():
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], np.uint8)
    assert luma(primaries).tolist() == [[76, 150, 29, 9]]
