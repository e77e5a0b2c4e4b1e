"""How often the paired bootstrap of src/report/statistics finds a difference where there is none.

It follows the Rust code step by step and needs NumPy alone:
    python3 tests/golden/bootstrap_simulation.py

Two strategies have the same expected score on every frame. Their scores are autocorrelated within
a sequence, and the frames are shared. A rate near 5 % of "different" means that the intervals are
honest. "Too few" is the share of simulations that the method refuses, because the correlation
leaves fewer than ten blocks; those count as not different.

Cases of mean average precision have rare classes. There a unit's total comes from leaving it out.

The second argument and later ones are the lengths of blocks to try, in correlation times. With 2,
up to 11 % are found different; with 4, which the program uses, 3 to 6 %.
"""

import sys
import numpy as np

FEWEST = 10
CONFIDENCE = 0.95


def correlation_time(sequences, mean, window=5.0):
    """Sokal's automatic window over the pooled autocorrelation within sequences."""
    centred = [s - mean for s in sequences]
    variance = sum((s * s).sum() for s in centred) / sum(len(s) for s in centred)
    if variance <= 0:
        return 1.0
    time = 1.0
    longest = max(len(s) for s in centred)
    for lag in range(1, longest):
        pairs = sum(max(len(s) - lag, 0) for s in centred)
        if pairs == 0:
            break
        # Divided by all frames, as the usual estimate is, so that it stays below 1.
        total = sum((s[:-lag] * s[lag:]).sum() for s in centred if len(s) > lag)
        time += 2.0 * total / variance / sum(len(s) for s in centred)
        if lag >= window * time:
            break
    return max(time, 1.0)


def blocks(sequences, length):
    """Each sequence in nearly equal blocks of at least `length` frames; a short one is a block."""
    for s in sequences:
        count = max(len(s) // length, 1)
        edges = [len(s) * k // count for k in range(count + 1)]
        for a, b in zip(edges[:-1], edges[1:]):
            yield s[a:b]


def compare(sequences, rng, times, resamples=2000, ranked=None):
    """`ranked`: with average precisions, how the difference changes without the frames of a range."""
    frames = sum(len(s) for s in sequences)
    mean = sum(s.sum() for s in sequences) / frames
    if len(sequences) >= FEWEST:
        units = list(sequences)
    else:
        length = max(int(np.ceil(frames ** (1 / 3))), int(np.ceil(times * correlation_time(sequences, mean))))
        units = list(blocks(sequences, length))
        if len(units) < FEWEST:
            return None
    totals = np.array([(u - mean).sum() for u in units])
    count = len(totals)
    difference = abs(mean * frames)
    if ranked is not None:
        difference, change = ranked
        edges = np.cumsum([0] + [len(u) for u in units])
        changes = np.array([change(a, b) for a, b in zip(edges[:-1], edges[1:])])
        totals = (count - 1) / count * (changes.mean() - changes)

    def error(t):
        return np.sqrt(count / (count - 1) * ((t - t.mean(-1, keepdims=True)) ** 2).sum(-1))

    drawn = totals[rng.integers(0, count, (resamples, count))]
    errors = error(drawn)
    # What is smaller comes from rounding.
    least = 1e-9 * np.abs(totals).max()
    sums = np.abs(drawn.sum(-1))
    t = np.where(errors > least, sums / np.where(errors > least, errors, 1), np.inf)
    t[(errors <= least) & (sums <= least)] = 0
    half = np.sort(t)[int(np.ceil(CONFIDENCE * resamples)) - 1] * error(totals)
    return difference > half if np.isfinite(half) else None


def autoregressive(rng, length, rho):
    x = np.empty(length)
    x[0] = rng.standard_normal()
    noise = rng.standard_normal(length) * np.sqrt(1 - rho * rho)
    for i in range(1, length):
        x[i] = rho * x[i - 1] + noise[i]
    return x


def null(rng, lengths, rho, binary, sequence_effect):
    """Differences of two strategies with equal expectations."""
    found = []
    for length in lengths:
        a, b = autoregressive(rng, length, rho), autoregressive(rng, length, rho)
        if binary:
            a, b = (a > -0.5).astype(float), (b > -0.5).astype(float)
        found.append(a - b + sequence_effect * rng.standard_normal())
    return found


def average_precision(scores, positive):
    """The value and the influence of each frame. No two scores are equal."""
    order = np.argsort(-scores)
    y = positive[order].astype(float)
    ranked, found, positives = np.arange(1, len(y) + 1), np.cumsum(y), y.sum()
    if positives == 0:
        return 0.0, np.zeros(len(y))
    value = (y * found / ranked).sum() / positives
    of_positive = np.cumsum((y / ranked)[::-1])[::-1]
    of_any = np.cumsum((y * found / ranked**2)[::-1])[::-1]
    influence = np.empty(len(y))
    influence[order] = (y * (found / ranked + of_positive - value) - of_any) / positives
    return value, influence


def labels(rng, lengths, share):
    """Labels that stay for about ten frames."""
    found = []
    for length in lengths:
        present = rng.random() < share
        for _ in range(length):
            found.append(present)
            if rng.random() < 0.1:
                present = rng.random() < share
    return np.array(found)


def ranked_null(rng, lengths, rho, shares, times):
    """Compares the mean average precisions of two classifiers of the same quality."""
    classes = []
    for share in shares:
        positive = labels(rng, lengths, share)
        both, a, b = (
            np.concatenate([autoregressive(rng, length, rho) for length in lengths])
            for _ in range(3)
        )
        if positive.any():
            classes.append((2.0 * positive + 0.7 * (both + a), 2.0 * positive + 0.7 * (both + b), positive))

    if not classes:
        return None

    def difference(kept):
        both = [(average_precision(a[kept], y[kept]), average_precision(b[kept], y[kept])) for a, b, y in classes]
        return np.mean([a[0] - b[0] for a, b in both]), np.mean([a[1] - b[1] for a, b in both], axis=0)

    everything = np.ones(sum(lengths), bool)
    value, influence = difference(everything)

    def change(begin, end):
        kept = everything.copy()
        kept[begin:end] = False
        return difference(kept)[0] - value

    sequences = np.split(influence, np.cumsum(lengths)[:-1])
    return compare(sequences, rng, times, ranked=(abs(value), change))


MIXED = [0.7, 0.3, 0.2, 0.1, 0.05, 0.03]
RANKED_CASES = {
    "mAP, 3 x 149, rho 0.6": ([149] * 3, 0.6, MIXED),
    "mAP, 20 x 60, rho 0.6": ([60] * 20, 0.6, MIXED),
    "mAP, 3 x 149, rho 0.6, one class of a tenth": ([149] * 3, 0.6, [0.1]),
    "mAP, 3 x 149, rho 0.6, classes of a third": ([149] * 3, 0.6, [0.3] * 6),
}
CASES = {
    "3 x 149, rho 0": ([149] * 3, 0.0, False, 0.0),
    "3 x 149, rho 0.5": ([149] * 3, 0.5, False, 0.0),
    "3 x 149, rho 0.8": ([149] * 3, 0.8, False, 0.0),
    "3 x 149, rho 0.9": ([149] * 3, 0.9, False, 0.0),
    "3 x 149, rho 0.8, right or wrong": ([149] * 3, 0.8, True, 0.0),
    "1 x 1000, rho 0.9": ([1000], 0.9, False, 0.0),
    "2 x 40, rho 0.5": ([40] * 2, 0.5, False, 0.0),
    "12 sequences of 20 to 90, rho 0.8": (list(range(20, 92, 6)), 0.8, False, 0.7),
    "20 x 60, rho 0.6": ([60] * 20, 0.6, False, 0.3),
    "4 x 250, rho 0.6": ([250] * 4, 0.6, False, 0.0),
    "4 x 250, rho 0.6, right or wrong": ([250] * 4, 0.6, True, 0.0),
    "40 x 200, rho 0.9": ([200] * 40, 0.9, False, 0.3),
    "10 x 30, right or wrong": ([30] * 10, 0.6, True, 0.0),
}


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for times in [float(x) for x in sys.argv[2:]] or [4.0]:
        for name, (lengths, rho, binary, effect) in CASES.items():
            rng = np.random.default_rng(42)
            found = [compare(null(rng, lengths, rho, binary, effect), rng, times) for _ in range(rounds)]
            report(times, name, found)
        for name, (lengths, rho, shares) in RANKED_CASES.items():
            rng = np.random.default_rng(42)
            found = [ranked_null(rng, lengths, rho, shares, times) for _ in range(rounds)]
            report(times, name, found)


def report(times, name, found):
    judged = [f for f in found if f is not None]
    few = 100 * (1 - len(judged) / len(found))
    rate = 100 * sum(judged) / len(found)
    print(f"block = {times} times, {name}: {rate:.1f} % different, {few:.0f} % too few", flush=True)


if __name__ == "__main__":
    main()
