"""Folds, scans, neighbour folds and scatters against PyTorch and NumPy on the CPU.

    pip install torch numpy
    python bench/peers/folds.py --driver build/bench/bench/peer_folds

Both sides work on the same .npy files and take turns; of each the best round counts. `ratio` is the time of the peer over ours, so
above 1 we are faster. On one thread CPU time counts, which a busy machine
disturbs least; on two the time on the wall. `difference` is the largest one between the results, relative to the largest magnitude in the peer's.
"""

import argparse
import os
import tempfile
import time
import warnings

import numpy as np
import torch

from driver import Driver

warnings.filterwarnings("ignore", message="Sparse")
ROUNDS = 7
NODES, EDGES = 100_000, 2_000_000


def sample(call, clock):
    """Seconds a call: the best of some runs of about a millisecond."""
    begin = clock()
    call()
    best = clock() - begin
    repeats = 1 if best > 1e-3 else int(1e-3 / max(best, 1e-7)) + 1
    for _ in range(1 if best > 0.2 else 3):
        begin = clock()
        for _ in range(repeats):
            call()
        best = min(best, (clock() - begin) / repeats)
    return best


def contest(driver, folder, name, items, columns, threads, peers):
    torch.set_num_threads(threads)
    driver.ask("case", name, items, columns, threads)
    path = os.path.join(folder, "out.npy")
    driver.ask("write", path)
    result = np.load(path)
    times = {peer: 1e30 for peer in peers}
    ours = 1e30
    for _ in range(ROUNDS):
        ours = min(ours, float(driver.ask("time")))
        for peer, call in peers.items():
            if times[peer] < 0.5 or times[peer] == 1e30:
                times[peer] = min(times[peer], sample(call, time.thread_time if threads == 1 else time.perf_counter))
            time.sleep(0.003)  # idle workers of their pool go to sleep
    np.seterr(invalid="ignore")  # empty maxima: -inf minus -inf
    for peer, call in peers.items():
        want = np.asarray(call(), dtype=np.float64).reshape(-1)
        got = result[: want.size].astype(np.float64)
        same = np.where(want == got, 0, np.abs(want - got))
        scale = np.abs(want[np.isfinite(want)]).max()
        print(f"| {name} | {items} x {columns} | {threads} | {ours * 1e3:.4g} | {peer} | {times[peer] * 1e3:.4g} "
              f"| {times[peer] / ours:.2f} | {same.max() / scale:.1e} |", flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--driver", required=True)
    arguments.add_argument("--only", default="", help="cases whose name contains this")
    arguments.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    options = arguments.parse_args()
    random = np.random.default_rng(1)
    x = random.standard_normal(1 << 25, dtype=np.float32)
    ids = random.integers(0, NODES, EDGES, dtype=np.int32)
    index = random.integers(0, NODES, EDGES, dtype=np.int32)
    offsets = np.sort(np.concatenate([[0, EDGES], random.integers(0, EDGES + 1, NODES - 1)])).astype(np.int64)
    weight = random.standard_normal(EDGES, dtype=np.float32)
    folder = tempfile.mkdtemp()
    for name, array in dict(x=x, ids=ids, index=index, offsets=offsets, weight=weight).items():
        np.save(os.path.join(folder, name), array)
    driver = Driver(options.driver)
    driver.ask("arrays", folder)
    print(f"torch {torch.__version__}, numpy {np.__version__}; times in ms\n")
    print("| case | size | threads | ours | peer | its time | ratio | difference |\n|---|---|---|---|---|---|---|---|")

    t = torch.from_numpy(x)
    for threads in options.threads:
        for log2 in (14, 20, 25):
            n = 1 << log2
            v, a = t[:n], x[:n]
            for name, peers in {
                "sum": {"torch": lambda v=v: v.sum(), "numpy": lambda a=a: a.sum()},
                "reproducible_sum": {"torch sum": lambda v=v: v.sum()},
                "maximum": {"torch": lambda v=v: v.max()},
                "log_sum_exp": {"torch": lambda v=v: torch.logsumexp(v, 0)},
                "moments": {"torch var_mean": lambda v=v: torch.stack(torch.var_mean(v, correction=0)[::-1])},
                "scan": {"torch": lambda v=v: v.cumsum(0), "numpy": lambda a=a: a.cumsum()},
            }.items():
                if options.only in name:
                    contest(driver, folder, name, n, 1, threads, peers)

    owner = torch.from_numpy(np.repeat(np.arange(NODES), np.diff(offsets)))
    source, place = torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(index.astype(np.int64))
    edge_weight, lengths = torch.from_numpy(weight), torch.from_numpy(np.diff(offsets))

    def sparse(values):
        return torch.sparse_csr_tensor(torch.from_numpy(offsets), source, values, (NODES, NODES))

    for threads in options.threads:
        for d in (1, 16, 64):
            if EDGES * d > 1 << 25 and d > 16:
                rows = None
            else:
                rows = t[: EDGES * d].view(EDGES, d)
            features = t[: NODES * d].view(NODES, d)
            ones, weighted = sparse(torch.ones(EDGES)), sparse(edge_weight)

            def scattered(values, where, d=d):
                return torch.zeros(NODES, d).index_add_(0, where, values)

            def reduced(values, where, how, d=d):
                start = torch.full((NODES, d), -torch.inf if how == "amax" else 0.0)
                return start.scatter_reduce_(0, where.view(-1, 1).expand(-1, d), values, how)

            cases = {
                "neighbour_sum": {
                    "scatter_add": lambda: torch.zeros(NODES, d).scatter_add_(0, owner.view(-1, 1).expand(-1, d), features[source]),
                    "index_add": lambda: scattered(features[source], owner),
                    "sparse product": lambda: ones @ features,
                },
                "neighbour_weighted_sum": {"sparse product": lambda: weighted @ features},
                "neighbour_maximum": {"scatter_reduce": lambda: reduced(features[source], owner, "amax")},
            }
            if rows is not None:
                cases |= {
                    "segmented_sum": {"segment_reduce": lambda: torch.segment_reduce(rows, "sum", lengths=lengths, unsafe=True)},
                    "segmented_maximum": {"segment_reduce": lambda: torch.segment_reduce(rows, "max", lengths=lengths, unsafe=True)},
                    "scatter_sum": {"index_add": lambda: scattered(rows, place)},
                    "scatter_reproducible_sum": {"index_add": lambda: scattered(rows, place)},
                    "scatter_maximum": {"scatter_reduce": lambda: reduced(rows, place, "amax")},
                }
            for name, peers in cases.items():
                if options.only in name:
                    contest(driver, folder, name, EDGES, d, threads, peers)


if __name__ == "__main__":
    main()
