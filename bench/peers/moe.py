"""Mixture-of-experts layers against the blocks of Hugging Face transformers and PyTorch loops.

    pip install torch transformers safetensors numpy
    python bench/peers/moe.py --driver build/bench/bench/peer_moe

Both sides use the same weights and tokens, handed over in .safetensors files, in float. Agreement: the largest difference over the largest
magnitude, of the output and of every gradient (of tokens, router, expert and shared weights) for a random gradient of the output,
against torch's autograd. Speed: sides take turns, several rounds, of each the best counts; `torch` is the fastest of the block with eager experts, with
grouped experts, and of a loop over experts on sorted tokens; `ratio` is its time over ours. `--clock cpu` counts the processes' own time
instead of the wall's: for one thread on a machine that others use.
"""

import argparse
import os
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers.models.deepseek_v3 import modeling_deepseek_v3 as v3
from transformers.models.mixtral import modeling_mixtral as mixtral
from transformers.models.olmoe import modeling_olmoe as olmoe
from transformers.models.qwen3_moe import modeling_qwen3_moe as qwen3

from driver import Driver

CLOCK = "wall"


class Files(Driver):
    """The driver, with a folder in which arrays are handed over."""

    def __init__(self, path, folder):
        super().__init__(path)
        self.folder = folder

    def load(self, problem, threads, x, dy=None):
        path = os.path.join(self.folder, "problem.safetensors")
        save_file({k: v.detach().contiguous().clone() for k, v in problem.tensors(x, dy).items()}, path)
        self.ask("load", problem.family, problem.k, problem.groups, problem.keep, problem.scale, threads, path)
        os.remove(path)

    def results(self):
        path = os.path.join(self.folder, "results.safetensors")
        self.ask("write", path)
        return load_file(path)


class Problem:
    """A block of transformers with random weights; `family`, `k`, ... are its router in our words."""

    def __init__(self, name, experts, k, hidden, wide, groups=1, keep=1, shared=1, seed=0, implementation="eager"):
        torch.manual_seed(seed)
        self.name, self.experts, self.k, self.hidden, self.wide = name, experts, k, hidden, wide
        self.groups, self.keep, self.scale = groups, keep, 1.0
        common = dict(hidden_size=hidden, num_experts_per_tok=k)
        self.family = "raw" if name == "OLMoE" else "normalised"
        if name == "Mixtral":
            config = mixtral.MixtralConfig(num_local_experts=experts, intermediate_size=wide, **common)
            make = mixtral.MixtralSparseMoeBlock
        elif name == "Qwen3-MoE":
            config = qwen3.Qwen3MoeConfig(num_experts=experts, moe_intermediate_size=wide, norm_topk_prob=True, **common)
            make = qwen3.Qwen3MoeSparseMoeBlock
        elif name == "OLMoE":
            config = olmoe.OlmoeConfig(num_experts=experts, intermediate_size=wide, norm_topk_prob=False, **common)
            make = olmoe.OlmoeSparseMoeBlock
        else:
            self.family, self.scale = "deepseek_v3", 2.5
            config = v3.DeepseekV3Config(n_routed_experts=experts, num_local_experts=experts, moe_intermediate_size=wide, n_group=groups, topk_group=keep,
                                         n_shared_experts=shared, norm_topk_prob=True, routed_scaling_factor=self.scale, **common)
            make = v3.DeepseekV3MoE
        config._experts_implementation = implementation
        self.config = config
        self.block = make(config).float().eval()
        with torch.no_grad():
            for p in self.block.parameters():
                p.copy_(torch.randn_like(p) / p.shape[-1] ** 0.5)
            if self.family == "deepseek_v3":
                self.block.gate.e_score_correction_bias.copy_(torch.randn(experts) * 0.05)

    def use(self, implementation):
        self.config._experts_implementation = implementation
        self.block.experts.config._experts_implementation = implementation

    def halves(self, grad=False):
        e = self.block.experts.gate_up_proj
        e = e.grad if grad else e
        return e[:, : self.wide], e[:, self.wide :]

    def tensors(self, x, dy):
        b = self.block
        gate, up = self.halves()
        bias = b.gate.e_score_correction_bias if self.family == "deepseek_v3" else torch.zeros(self.experts)
        t = {"x": x, "router": b.gate.weight, "bias": bias, "gate": gate, "up": up, "down": b.experts.down_proj}
        if dy is not None:
            t["dy"] = dy
        if self.family == "deepseek_v3":
            s = b.shared_experts
            t |= {"shared_gate": s.gate_proj.weight[None], "shared_up": s.up_proj.weight[None], "shared_down": s.down_proj.weight[None]}
        return t

    def gradients(self, x, dy):
        x = x.clone().requires_grad_()
        y = self.block(x[None])[0]
        y.backward(dy)
        b = self.block
        gate, up = self.halves(grad=True)
        out = {"y": y, "dx": x.grad, "drouter": b.gate.weight.grad, "dgate": gate, "dup": up, "ddown": b.experts.down_proj.grad}
        if self.family == "deepseek_v3":
            s = b.shared_experts
            out |= {"dshared_gate": s.gate_proj.weight.grad, "dshared_up": s.up_proj.weight.grad, "dshared_down": s.down_proj.weight.grad}
        return out


def sorted_loop(problem, x):
    """What a careful user writes: tokens sorted by expert once, one product a network, results added back."""
    b, k = problem.block, problem.k
    _, weights, ids = b.gate(x)
    flat = ids.reshape(-1)
    order = torch.argsort(flat, stable=True)
    counts = torch.bincount(flat, minlength=problem.experts).tolist()
    rows = x[order // k]
    parts, begin = [], 0
    for e, n in enumerate(counts):
        if n == 0:
            continue
        gate, up = F.linear(rows[begin : begin + n], b.experts.gate_up_proj[e]).chunk(2, dim=-1)
        parts.append(F.linear(F.silu(gate) * up, b.experts.down_proj[e]))
        begin += n
    results = torch.cat(parts) * weights.reshape(-1)[order, None]
    y = torch.zeros_like(x).index_add_(0, order // k, results)
    return y + b.shared_experts(x) if problem.family == "deepseek_v3" else y


def relative(ours, theirs, scale=None):
    theirs = theirs.detach().numpy()
    scale = theirs if scale is None else scale.detach().numpy()
    return np.abs(ours.numpy().reshape(theirs.shape) - theirs).max() / max(np.abs(scale).max(), 1e-30)


def random_problems(count, seed):
    random = np.random.default_rng(seed)
    draw = lambda *choices: int(random.choice(choices))
    for i in range(count):
        for name in ("Mixtral", "Qwen3-MoE", "OLMoE", "DeepSeek-V3"):
            hidden, wide, k = draw(8, 24, 33, 64, 96), draw(4, 17, 32, 80), draw(1, 2, 3, 4)
            k = max(k, 2) if name == "DeepSeek-V3" else k  # one choice keeps its score in DeepSeek's own code, and here; its port to transformers makes it 1
            groups, keep = (draw(2, 4), 2) if name == "DeepSeek-V3" else (1, 1)
            experts = groups * draw(4, 8) if groups > 1 else draw(4, 7, 16)
            yield Problem(name, experts, k, hidden, wide, groups, keep, draw(1, 2), seed=seed + i), draw(1, 5, 64, 150)


def agreement(driver, count):
    print("\n## agreement with the blocks of transformers and torch's autograd, random configurations in float\n")
    print("| block | configurations | output | tokens | router | experts' gate, up, down | shared gate, up, down |\n|---|---|---|---|---|---|---|")
    worst = {}
    for problem, tokens in random_problems(count, 1):
        x, dy = torch.randn(tokens, problem.hidden), torch.randn(tokens, problem.hidden)
        driver.load(problem, 1, x, dy)
        ours, theirs = driver.results(), problem.gradients(x, dy)
        row = worst.setdefault(problem.name, {"n": 0})
        row["n"] += 1
        for key, value in theirs.items():
            # One normalised choice has the weight p / p = 1, so the router's gradient is 0: exactly so here, while autograd adds dw / p and
            # -dw p / p^2 and keeps what rounding leaves of them (some 1e-6). That is measured against the tokens' gradient.
            constant = key == "drouter" and problem.k == 1 and problem.family != "raw"
            row[key] = max(row.get(key, 0.0), relative(ours[key], value, theirs["dx"] if constant else None))
    bad = False
    for name, row in worst.items():
        show = lambda *keys: "-" if keys[0] not in row else f"{max(row[key] for key in keys):.1e}"
        print(f"| {name} | {row['n']} | {show('y')} | {show('dx')} | {show('drouter')} | {show('dgate', 'dup', 'ddown')} | {show('dshared_gate', 'dshared_up', 'dshared_down')} |")
        bad = bad or row["y"] > 1e-5
    print("\nagreement of the outputs within 1e-5 relative:", "NO" if bad else "yes", flush=True)
    return not bad


def seconds(call, repeats=1):
    now = time.process_time if CLOCK == "cpu" else time.perf_counter
    begin = now()
    for _ in range(repeats):
        call()
    return (now() - begin) / repeats


def contest(ask, peers, rounds):
    """Best times of our side and of each peer, taking turns."""
    ours, best = 1e30, {name: 1e30 for name in peers}
    repeats = {name: max(1, int(5e-3 / seconds(call))) for name, call in peers.items()}
    for _ in range(rounds):
        ours = min(ours, float(ask()))
        for name, call in peers.items():
            best[name] = min(best[name], seconds(call, repeats[name]))
            time.sleep(0.003)  # idle workers of their thread pool go to sleep
    return ours, best


SHAPES = [  # the published experts and choices; widths that fit the memory of a small machine
    ("Mixtral", 8, 2, 1024, 3584, 1, 1),
    ("OLMoE", 64, 8, 1024, 512, 1, 1),
    ("Qwen3-MoE", 128, 8, 1024, 384, 1, 1),
    ("DeepSeek-V3", 256, 8, 896, 256, 8, 4),
]


def speed(driver, rounds, batches, threads):
    print("\n## forward, float, weights packed once; milliseconds\n")
    print("| block | E, k, D x I | T | threads | ours | eager | grouped | sorted loop | ratio to the best | agreement |\n" + "|---" * 10 + "|")
    for name, experts, k, hidden, wide, groups, keep in SHAPES:
        problem = Problem(name, experts, k, hidden, wide, groups, keep)
        for tokens in batches:
            x = torch.randn(tokens, hidden)
            for n in threads:
                torch.set_num_threads(n)
                driver.load(problem, n, x)

                def block(implementation):
                    problem.use(implementation)
                    return problem.block(x[None])[0]

                peers = {"eager": lambda: block("eager"), "grouped": lambda: block("grouped_mm"), "loop": lambda: sorted_loop(problem, x)}
                with torch.no_grad():
                    error = relative(driver.results()["y"], block("eager"))
                    ours, best = contest(lambda: driver.ask("time", CLOCK), peers, rounds)
                cells = " | ".join(f"{best[p] * 1e3:.2f}" for p in peers)
                print(f"| {name} | {experts}, {k}, {hidden} x {wide} | {tokens} | {n} | {ours * 1e3:.2f} | {cells} | {min(best.values()) / ours:.2f}x | {error:.0e} |", flush=True)


def backward_speed(driver, rounds, tokens):
    print(f"\n## forward and gradients of everything, float, T = {tokens}, one thread; milliseconds (ours packs the weights on the way)\n")
    print("| block | E, k, D x I | ours | eager | grouped | sorted loop | ratio to the best |\n" + "|---" * 7 + "|")
    torch.set_num_threads(1)
    for name, experts, k, hidden, wide, groups, keep in SHAPES:
        problem = Problem(name, experts, k, hidden // 2, wide // 2, groups, keep)
        x, dy = torch.randn(tokens, problem.hidden), torch.randn(tokens, problem.hidden)
        driver.load(problem, 1, x, dy)

        def step(forward):
            for p in problem.block.parameters():
                p.grad = None
            forward(x.clone().requires_grad_()).backward(dy)

        def block(implementation):
            problem.use(implementation)
            return lambda z: problem.block(z[None])[0]

        peers = {"eager": lambda: step(block("eager")), "grouped": lambda: step(block("grouped_mm")), "loop": lambda: step(lambda z: sorted_loop(problem, z))}
        ours, best = contest(lambda: float(driver.ask("time_backward", CLOCK)), peers, rounds)
        cells = " | ".join(f"{best[p] * 1e3:.1f}" for p in peers)
        print(f"| {name} | {experts}, {k}, {problem.hidden} x {problem.wide} | {ours * 1e3:.1f} | {cells} | {min(best.values()) / ours:.2f}x |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", required=True, help="the program built from bench/peers/moe.cpp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--configurations", type=int, default=25, help="random ones a block")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 4096])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", choices=("agreement", "speed", "backward"))
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    options = parser.parse_args()
    global CLOCK
    CLOCK = options.clock
    print(f"torch {torch.__version__}, load average at the start {os.getloadavg()[0]:.1f}, cores {os.cpu_count()}")
    agrees = True
    with tempfile.TemporaryDirectory() as folder:
        driver = Files(options.driver, folder)
        if options.only in (None, "agreement"):
            agrees = agreement(driver, options.configurations)
        if options.only in (None, "speed"):
            speed(driver, options.rounds, options.batches, options.threads)
        if options.only in (None, "backward"):
            backward_speed(driver, options.rounds, 512)
    print(f"\nload average at the end {os.getloadavg()[0]:.1f}")
    raise SystemExit(0 if agrees else 1)


if __name__ == "__main__":
    main()
