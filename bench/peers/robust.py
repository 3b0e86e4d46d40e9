"""Robust aggregation against ByzFL (NumPy and torch tensors) and Flower.

    pip install byzfl flwr torch numpy
    python bench/peers/robust.py --driver build/bench/bench/peer_robust

Both sides aggregate the same rows, held in a .npy file, on one thread. They take turns; of each the best run's processor time counts.
`ratio` is their time over ours; `difference` the largest difference of a coordinate, where rows have standard deviation 1. A tenth of the
rows are 20 times as long. Differences that are no rounding:

- mean_around_median, torch: where two values lie at the same float distance on both sides of the median, torch.topk keeps either, we the
  lower one. One coordinate in a million or so; it then differs by the distance of the two over n - f.
- nnm_*, torch: torch.cdist in float is off by up to 3e-4 (relative, d = 10^6), so that nearly equally near neighbours change places.
  torch.cdist in double, SciPy's (which ByzFL takes for NumPy) and we choose the same rows.
- caf, smea: ByzFL's eigenvector is one power iteration from a random start, ours is exact.
- bucketing_median: another random order.
"""

import argparse
import os
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from byzfl import CAF, MDA, SMEA, CenteredClipping, GeometricMedian, Krum, Meamed, Median, MoNNA, MultiKrum, TrMean
from byzfl.aggregators.preaggregators import ARC, NNM, Bucketing, Clipping

from driver import Driver

try:
    from flwr.server.strategy import aggregate as flower
except ImportError:
    flower = None

torch.set_num_threads(1)


def byzfl_rules(n, f):
    average = lambda x: x.mean(axis=0)
    rules = {
        "average": average, "clip_average": lambda x: average(Clipping(2.0)(x.copy() if isinstance(x, np.ndarray) else x.clone())),
        "bucketing_median": lambda x: Median()(Bucketing(2)(x.copy() if isinstance(x, np.ndarray) else x.clone())),
        "median_and_trimmed_mean": lambda x: np.concatenate([np.asarray(Median()(x)), np.asarray(TrMean(f)(x))]),
        "median": Median(), "trimmed_mean": TrMean(f), "mean_around_median": Meamed(f), "krum": Krum(f), "multi_krum": MultiKrum(f),
        "geometric_median": GeometricMedian(), "centered_clipping": lambda x: CenteredClipping()(x), "centered_clipping_3": lambda x: CenteredClipping(L=3)(x), "monna": MoNNA(f), "caf": CAF(f),
        "nnm_krum": lambda x: Krum(f)(NNM(f)(x)), "nnm_geometric_median": lambda x: GeometricMedian()(NNM(f)(x)),
        "nnm_multi_krum": lambda x: MultiKrum(f)(NNM(f)(x)), "nnm_trimmed_mean": lambda x: TrMean(f)(NNM(f)(x)),
        "arc_average": lambda x: average(ARC(f)(x.copy() if isinstance(x, np.ndarray) else x.clone())),
    }
    if n <= 10:
        rules |= {"mda": MDA(f), "smea": SMEA(f)}
    return rules


def flower_rules(f):
    if flower is None:
        return {}
    pack = lambda x: [([row], 1) for row in x]
    return {
        "average": lambda x: flower.aggregate(pack(x))[0],
        "median": lambda x: flower.aggregate_median(pack(x))[0],
        "trimmed_mean": lambda x: flower.aggregate_trimmed_avg(pack(x), f / len(x))[0],
        "krum_flower": lambda x: flower.aggregate_krum(pack(x), f, 0)[0],
        "bulyan_flower": lambda x: flower.aggregate_bulyan(pack(x), f, flower.aggregate_krum, to_keep=0)[0],
    }


def once(call, x, limit):
    begin = time.process_time()
    out = call(x)
    best = time.process_time() - begin
    return best, out, best < limit


def compare(driver, name, peer, call, x, n, d):
    driver.ask("rule", name)
    ours, theirs = float(driver.ask("time")), 1e30
    for _ in range(3):
        t, out, again = once(call, x, 3.0)
        theirs = min(theirs, t)
        ours = min(ours, float(driver.ask("time")))
        if not again:
            break
    path = os.path.join(tempfile.gettempdir(), f"robust_{os.getpid()}.npy")
    driver.ask("write", path)
    difference = np.abs(np.load(path) - np.asarray(out)).max()
    os.remove(path)
    print(f"| {name} | {peer} | {n} | {d:.0e} | {ours / 1e3:.3f} | {theirs * 1e3:.2f} | {theirs * 1e6 / ours:.1f} | {difference:.1e} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--shapes", nargs="*", default=["10x100000", "20x1000000", "50x100000", "10x10000000"])
    parser.add_argument("--rules", nargs="*")
    arguments = parser.parse_args()
    driver = Driver(arguments.driver)
    print("| rule | peer | n | d | ours ms | theirs ms | ratio | difference |\n|---|---|---|---|---|---|---|---|")
    for shape in arguments.shapes:
        n, d = map(int, shape.split("x"))
        f = min((n - 3) // 4, 4)
        x = np.random.default_rng(1).standard_normal((n, d), dtype=np.float32)
        x[: n // 10] *= 20
        path = os.path.join(tempfile.gettempdir(), f"rows_{os.getpid()}.npy")
        np.save(path, x)
        driver.ask("load", path, f)
        os.remove(path)
        chosen = lambda name: not arguments.rules or name in arguments.rules
        for name, call in byzfl_rules(n, f).items():
            if chosen(name):
                compare(driver, name, "ByzFL, NumPy", call, x, n, d)
                compare(driver, name, "ByzFL, torch", call, torch.from_numpy(x), n, d)
        for name, call in flower_rules(f).items():
            if chosen(name):
                compare(driver, name, "Flower", call, x, n, d)


if __name__ == "__main__":
    main()
