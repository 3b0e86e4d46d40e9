"""Token routers against PyTorch and the router modules of Hugging Face transformers.

    pip install torch transformers numpy
    python bench/peers/routers.py --driver build/bench/bench/peer_routers

Both sides route the same logits, held in .npy files. They take turns: a sample of theirs, a sample of ours, several rounds; of each
the best counts. `ratio` is their time over ours. What only Python can call is called from Python, so T = 1 measures mostly that.

Agreement: `rows` is the share of rows whose chosen experts have the same scores, compared as sets since topk leaves ties open;
`ids` the share whose experts are the same ones; `weights` the largest difference of weights, sorted, in the rows that agree.
"""

import argparse
import itertools
import os
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F

from driver import Driver

ROUNDS = 9
THREADS = (1, 2)
SHAPES = [("mixtral", 8, 2), ("mixtral", 64, 8), ("olmoe", 64, 8), ("mixtral", 128, 8), ("mixtral", 256, 8), ("mixtral", 256, 16), ("mixtral", 512, 64),
          ("deepseek_v3", 256, 8)]
GROUPS, KEEP, SCALE = 8, 4, 2.5


class Files(Driver):
    """The driver, with a folder in which arrays are handed over."""

    def __init__(self, path, folder):
        super().__init__(path)
        self.folder = folder

    def save(self, name, array):
        path = os.path.join(self.folder, name + ".npy")
        np.save(path, array)
        return path

    def load(self, router, logits, k, threads, statistics, bias):
        self.ask("load", router, self.save("logits", logits), k, threads, int(statistics), self.save("bias", bias))

    def results(self):
        first, second = (os.path.join(self.folder, n + ".npy") for n in ("first", "second"))
        loss = float(self.ask("write", first, second))
        return np.load(first), np.load(second), loss


def sample(call):
    """Seconds a call: the best of four runs of about a millisecond."""
    begin = time.perf_counter()
    call()
    best = time.perf_counter() - begin
    repeats = 1 if best > 1e-3 else int(1e-3 / best) + 1
    for _ in range(4):
        begin = time.perf_counter()
        for _ in range(repeats):
            call()
        best = min(best, (time.perf_counter() - begin) / repeats)
    return best


def contest(driver, peer):
    """Best times of both sides, taking turns."""
    ours = theirs = 1e30
    peer()
    for _ in range(ROUNDS):
        theirs = min(theirs, sample(peer))
        time.sleep(0.003)  # idle workers of their thread pool go to sleep
        ours = min(ours, float(driver.ask("time")))
    return ours, theirs


# What a user of PyTorch writes. V3: sigmoid, best groups by the sum of their two best, top-k inside them, normalised.


def torch_v3(logits, bias, k):
    score = logits.sigmoid()
    key = score + bias
    groups = key.view(-1, GROUPS, key.shape[1] // GROUPS)
    kept = groups.topk(2, dim=-1)[0].sum(-1).topk(KEEP, dim=-1, sorted=False)[1]
    outside = torch.ones(kept.shape[0], GROUPS, dtype=torch.bool).scatter_(1, kept, False)
    key = groups.masked_fill(outside.unsqueeze(-1), -torch.inf).flatten(1)
    ids = key.topk(k, dim=-1)[1]
    weights = score.gather(1, ids)
    return ids, weights / weights.sum(-1, keepdim=True) * SCALE, score


def torch_router(router, logits, bias, k, statistics):
    experts = logits.shape[1]

    def loss(ids, share):
        counts = torch.bincount(ids.flatten(), minlength=experts)
        return experts * (counts / logits.shape[0] * share.mean(0)).sum()

    def soft():
        share = logits.softmax(-1)
        weights, ids = share.topk(k, dim=-1)
        if statistics:
            loss(ids, share)

    def v3():
        ids, _, score = torch_v3(logits, bias, k)
        if statistics:
            loss(ids, score / score.sum(-1, keepdim=True))

    return v3 if router == "deepseek_v3" else soft


def speed_against_torch(driver):
    print("\n## softmax + topk of torch (V3: its grouped form)\n")
    print("| router | E, k | T | threads | ours, us | torch | + statistics, loss: ours, us | torch |\n|---|---|---|---|---|---|---|---|")
    for router, experts, k in SHAPES:
        for tokens, threads in itertools.product((1, 64, 4096), THREADS):
            torch.set_num_threads(threads)
            logits, bias = random_logits(tokens, experts), small_bias(experts)
            cells = []
            for statistics in (False, True):
                driver.load(router, logits, k, threads, statistics, bias)
                peer = torch_router(router, torch.from_numpy(logits), torch.from_numpy(bias), k, statistics)
                ours, theirs = contest(driver, peer)
                cells += [f"{ours * 1e6:.2f}", f"{theirs / ours:.1f}x"]
            print(f"| {router} | {experts}, {k} | {tokens} | {threads} | " + " | ".join(cells) + " |", flush=True)


# The router modules of transformers, with logits in place of their linear layer, so that both sides start from the same numbers.


def hf_modules():
    from transformers.models.deepseek_v3 import modeling_deepseek_v3 as v3
    from transformers.models.mixtral import modeling_mixtral as mixtral
    from transformers.models.olmoe import modeling_olmoe as olmoe
    from transformers.models.qwen3_moe import modeling_qwen3_moe as qwen3

    def config(module, name, **values):
        return getattr(module, name)(hidden_size=values.get("num_experts", values.get("num_local_experts")), **values)

    return [
        ("Mixtral", "mixtral", 8, 2,
         mixtral.MixtralTopKRouter(config(mixtral, "MixtralConfig", num_local_experts=8, num_experts_per_tok=2)), mixtral),
        ("Qwen3-MoE", "mixtral", 128, 8,
         qwen3.Qwen3MoeTopKRouter(config(qwen3, "Qwen3MoeConfig", num_experts=128, num_experts_per_tok=8, norm_topk_prob=True)), qwen3),
        ("OLMoE", "olmoe", 64, 8,
         olmoe.OlmoeTopKRouter(config(olmoe, "OlmoeConfig", num_experts=64, num_experts_per_tok=8, norm_topk_prob=False)), olmoe),
        ("DeepSeek-V3", "deepseek_v3", 256, 8,
         v3.DeepseekV3TopkRouter(config(v3, "DeepseekV3Config", num_local_experts=256, num_experts_per_tok=8, n_group=GROUPS, topk_group=KEEP,
                                        norm_topk_prob=True, routed_scaling_factor=SCALE)), None),
    ]


def random_logits(tokens, experts, seed=1):
    return np.random.default_rng(seed).standard_normal((tokens, experts)).astype(np.float32)


def tied_logits(tokens, experts, seed=2):
    """Few different values, so that nearly every row has ties at its k-th place."""
    return (np.random.default_rng(seed).integers(-4, 5, (tokens, experts)) / 2).astype(np.float32)


def small_bias(experts, seed=3):
    return (np.random.default_rng(seed).integers(-8, 9, experts) / 256).astype(np.float32)


def close(a, b):
    return np.abs(np.sort(a) - np.sort(b)).max() <= 1e-6


def agreeing_row(score, key, ours, theirs):
    """Whether a row of ours is one that their definition allows. Groups tied at the edge of the kept ones: any choice of them is."""
    if close(score[ours], score[theirs]):
        return True
    if key is None:
        return False
    groups = key.reshape(GROUPS, -1)
    total = np.sort(groups, axis=1)[:, -2:].sum(1)
    edge = np.sort(total)[-KEEP]
    above, tied = np.flatnonzero(total > edge + 1e-6), np.flatnonzero(np.abs(total - edge) <= 1e-6)
    for some in itertools.combinations(tied, KEEP - len(above)):
        best = np.sort(groups[list(above) + list(some)].ravel())[-len(ours):]
        if close(key[ours], best):
            return True
    return False


def agreement(driver, router, module, logits, bias, k):
    driver.load(router, logits, k, 1, True, bias)
    ids, weights, loss = driver.results()
    _, their_weights, their_ids = module(torch.from_numpy(logits))
    their_ids, their_weights = their_ids.numpy(), their_weights.detach().numpy()
    x = torch.from_numpy(logits)
    score = x.sigmoid().numpy() if router == "deepseek_v3" else x.softmax(-1).numpy()
    key = score + bias if router == "deepseek_v3" else None
    same = [set(a) == set(b) for a, b in zip(ids, their_ids)]
    agree = [agreeing_row(score[t], None if key is None else key[t], ids[t], their_ids[t]) for t in range(len(ids))]
    # rows where a tie lets both sides choose different scores have no common weights
    compared = [t for t in range(len(ids)) if agree[t] and close(score[t][ids[t]], score[t][their_ids[t]])]
    difference = max((np.abs(np.sort(weights[t]) - np.sort(their_weights[t])).max() for t in compared), default=0.0)
    return f"{100 * np.mean(agree):.2f} % | {100 * np.mean(same):.2f} % | {difference:.1e}", loss


def against_transformers(driver):
    import transformers

    print(f"\n## router modules of transformers {transformers.__version__}\n")
    print("| module | E, k | logits | rows | ids | weights | loss: ours | theirs |\n|---|---|---|---|---|---|---|---|")
    linear = F.linear
    modules = hf_modules()
    F.linear = lambda x, weight: x  # the logits are given
    try:
        with torch.no_grad():
            for name, router, experts, k, module, family in modules:
                bias = small_bias(experts) if router == "deepseek_v3" else np.zeros(experts, np.float32)
                if router == "deepseek_v3":
                    module.e_score_correction_bias.copy_(torch.from_numpy(bias))
                for kind, make in (("random", random_logits), ("tied", tied_logits)):
                    logits = make(4096, experts)
                    text, loss = agreement(driver, router, module, logits, bias, k)
                    theirs = "-" if family is None else f"{float(family.load_balancing_loss_func((torch.from_numpy(logits),), experts, k)):.6f}"
                    print(f"| {name} | {experts}, {k} | {kind} | {text} | {'-' if family is None else f'{loss:.6f}'} | {theirs} |", flush=True)
            print("\n| module | T | threads | ours, us | module | + statistics, loss: ours, us | module + load_balancing_loss_func |\n|---|---|---|---|---|---|---|")
            for name, router, experts, k, module, family in modules:
                bias = small_bias(experts)
                for tokens, threads in itertools.product((1, 64, 4096), THREADS):
                    torch.set_num_threads(threads)
                    logits = random_logits(tokens, experts)
                    x = torch.from_numpy(logits)
                    driver.load(router, logits, k, threads, False, bias)
                    ours, theirs = contest(driver, lambda: module(x))
                    cells = f"{ours * 1e6:.2f} | {theirs / ours:.1f}x | "
                    if family is None:
                        cells += "- | -"
                    else:
                        driver.load(router, logits, k, threads, True, bias)
                        ours, theirs = contest(driver, lambda: (module(x), family.load_balancing_loss_func((x,), experts, k)))
                        cells += f"{ours * 1e6:.2f} | {theirs / ours:.1f}x"
                    print(f"| {name} | {tokens} | {threads} | {cells} |", flush=True)
    finally:
        F.linear = linear


def slots_against_torch(driver):
    """Places of T k choices in their experts' buffers: one-hot and cumulative sum, as frameworks do it."""
    print("\n## places in the experts' buffers: one-hot + cumulative sum of torch\n")
    print("| E, k | T | threads | ours, us | torch | equal |\n|---|---|---|---|---|---|")
    for (_, experts, k), tokens, threads in itertools.product([s for s in SHAPES if s[0] == "mixtral"], (64, 4096), THREADS):
        torch.set_num_threads(threads)
        ids = torch.from_numpy(random_logits(tokens, experts)).topk(k, dim=-1)[1]

        def peer():
            flat = ids.flatten()
            return (F.one_hot(flat, experts).cumsum(0) - 1).gather(1, flat.unsqueeze(1))

        driver.ask("plan", driver.save("ids", ids.numpy().astype(np.int32)), experts, threads)
        rank, _, _ = driver.results()
        equal = np.array_equal(rank.ravel(), peer().numpy().ravel())
        ours, theirs = contest(driver, peer)
        print(f"| {experts}, {k} | {tokens} | {threads} | {ours * 1e6:.2f} | {theirs / ours:.1f}x | {'yes' if equal else 'NO'} |", flush=True)


def main():
    global ROUNDS, THREADS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", required=True, help="the program built from bench/peers/routers.cpp")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, nargs="+", default=THREADS)
    parser.add_argument("--only", choices=("torch", "transformers", "slots"))
    options = parser.parse_args()
    ROUNDS, THREADS = options.rounds, options.threads
    print(f"torch {torch.__version__}, load average at the start {os.getloadavg()[0]:.1f}, cores {os.cpu_count()}")
    with tempfile.TemporaryDirectory() as folder:
        driver = Files(options.driver, folder)
        if options.only in (None, "torch"):
            speed_against_torch(driver)
        if options.only in (None, "transformers"):
            try:
                against_transformers(driver)
            except ImportError as missing:
                print(f"transformers is not installed, its part is skipped ({missing})")
        if options.only in (None, "slots"):
            slots_against_torch(driver)
    print(f"\nload average at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
