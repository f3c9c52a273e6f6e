from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.precision import Arrivals, Bursty, Mix, Poisson, PrecisionError, Requirements, Workload, draw_workload

PROCESSES = [Poisson(), Bursty(), Bursty(peak=5.0, share=0.2, burst=10.0)]


@pytest.mark.parametrize("process", PROCESSES)
def test_arrivals_ascend_at_the_rate_asked_for(process: Arrivals) -> None:
    times = process.times(np.random.default_rng(1), 100_000, 4.0)
    assert (np.diff(times) >= 0).all()
    assert times[0] > 0
    assert 100_000 / times[-1] == pytest.approx(4.0, rel=0.05)


def test_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(Poisson().times(np.random.default_rng(2), 100_000, 2.0))
    assert gaps.mean() == pytest.approx(0.5, rel=0.02)
    assert gaps.std() == pytest.approx(0.5, rel=0.02)


def test_bursts_are_as_dense_and_as_frequent_as_asked() -> None:
    """Counts of an MMPP in a window t: index of dispersion 1 + (2 a b / r)(1 - (1 - exp(-g t)) / (g t)) / g ..."""
    peak, share, burst = 3.0, 0.2, 50.0
    quiet = (1 - peak * share) / (1 - share)
    leave_burst, window = peak / burst, 200.0
    leave_quiet = leave_burst * share / (1 - share)
    both = leave_burst + leave_quiet
    spread = share * (1 - share) * (peak - quiet) ** 2  # variance of the intensity, correlated as exp(-both t)
    expected = 1 + 2 * spread / both * (1 - (1 - np.exp(-both * window)) / (both * window))
    times = Bursty(peak, share, burst).times(np.random.default_rng(3), 1_000_000, 1.0)
    counts = np.histogram(times, bins=np.arange(0, times[-1], window))[0]
    assert counts.var() / counts.mean() == pytest.approx(expected, rel=0.1)


def test_silence_between_bursts() -> None:
    times = Bursty(peak=5.0, share=0.2, burst=20.0).times(np.random.default_rng(4), 20_000, 1.0)
    gaps = np.diff(times)
    assert np.median(gaps) == pytest.approx(np.log(2) / 5, rel=0.1)  # nearly all gaps are within bursts, at rate 5
    assert gaps.mean() == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(
    "wrong", [{"peak": 1.0}, {"share": 0.0}, {"share": 1.0}, {"peak": 6.0, "share": 0.2}, {"burst": 0.0}]
)
def test_impossible_bursts(wrong: dict[str, float]) -> None:
    with pytest.raises(PrecisionError, match="bursts need"):
        Bursty(**wrong)


@pytest.mark.parametrize("process", PROCESSES[:2])
def test_no_rate(process: Arrivals) -> None:
    with pytest.raises(PrecisionError, match="rate must be above 0"):
        process.times(np.random.default_rng(0), 1, 0.0)


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 3), requests=st.integers(1, 20))
def test_a_row_depends_on_its_seed_and_rate_only(seed: int, steps: int, requests: int) -> None:
    classes = [(Requirements(), 0.5), (Requirements(min_accuracy=0.5), 0.5)]
    options: dict[str, object] = {"steps": steps, "sizes": Mix((0.5, 1.5), (0.5, 0.5)), "classes": classes}
    alone = draw_workload(Poisson(), [2.0], [seed], requests, **options)  # type: ignore[arg-type]
    among = draw_workload(Poisson(), [9.0, 2.0, 4.0], [7, seed, seed], requests, **options)  # type: ignore[arg-type]
    for name in ("arrivals", "luck", "sizes", "classes"):
        assert (getattr(alone, name)[0] == getattr(among, name)[1]).all()
    assert among.arrivals[1] == pytest.approx(2 * among.arrivals[2])
    assert (among.luck[1] == among.luck[2]).all()


def test_shares_of_sizes_and_classes() -> None:
    classes = [(Requirements(), 0.3), (Requirements(deadline_s=1.0), 0.7)]
    drawn = draw_workload(Poisson(), [1.0], [5], 50_000, sizes=Mix((0.5, 3.0), (0.8, 0.2)), classes=classes)
    assert drawn.classes.mean() == pytest.approx(0.7, abs=0.01)
    assert drawn.sizes.mean() == pytest.approx(1.0, abs=0.02)
    assert abs(np.corrcoef(drawn.classes[0], drawn.sizes[0])[0, 1]) < 0.02
    assert drawn.requirements == (Requirements(), Requirements(deadline_s=1.0))


def test_impossible_workloads() -> None:
    with pytest.raises(PrecisionError, match="a seed for each rate"):
        draw_workload(Poisson(), [1.0, 2.0], [0], 10)
    with pytest.raises(PrecisionError, match="0 requests"):
        draw_workload(Poisson(), [1.0], [0], 0)
    with pytest.raises(PrecisionError, match="one share for each value"):
        Mix((1.0,), (0.5,))
    with pytest.raises(PrecisionError, match="one share for each value"):
        draw_workload(Poisson(), [1.0], [0], 10, classes=[])
    ones = np.ones((1, 2))
    with pytest.raises(PrecisionError, match="ascend"):
        Workload(np.array([[2.0, 1.0]]), ones[..., None], ones, ones.astype(np.int64))
    with pytest.raises(PrecisionError, match="shape"):
        Workload(ones, np.ones((1, 3, 1)), ones, ones.astype(np.int64))
