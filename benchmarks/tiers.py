"""Do the tiers agree? The same questions to the same cloud model over the same link: virtual, relayed, in namespaces.

In the virtual tier the model runs in this process and the link is worked out; in the others it runs in a worker behind
a link that is really there. Compared are TPOT and TTFT as a job reports them, question by question: all tiers answer
each question in turn, so that whatever else the machine does slows all of them. Printed are medians, the median of the
ratios to the virtual tier with a bootstrap interval over questions, and the bytes.

Two models: `zoo:cloud`, whose token takes little more than the messages around it, and a wider one of random weights,
made on the spot, whose token takes as long as a real model's does. Both run without the fused forward pass, because the
worker goes token by token.

Run it from the repository's root: `python benchmarks/tiers.py [--questions 60] [--tiers virtual relay namespaces]`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.stats import bootstrap
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from ianvs_collab.inference import Query
from ianvs_collab.inference.models import CloudModel
from ianvs_collab.link import Deployment, Link, use_deployment
from ianvs_collab.modelserver import resolve_model
from ianvs_collab.zoo.export import test_questions

LINKS = {
    "home Wi-Fi": Link(rtt_ms=20, uplink_mbps=40, downlink_mbps=100),
    "4G": Link(rtt_ms=70, uplink_mbps=8, downlink_mbps=30, jitter_ms=5),
}
WIDTH, LAYERS = 768, 8
MAX_TOKENS = 16
WARM_UP = 3
FIGURES = {"TPOT": "time_per_output_token", "TTFT": "time_to_first_token", "E2E": "end_to_end_latency"}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=60, help="questions (default: 60)")
    parser.add_argument(
        "--tiers", nargs="+", default=["virtual", "relay", "namespaces"], help="the first is the measure"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, model in (("zoo:cloud", "zoo:cloud"), (f"width {WIDTH}, {LAYERS} layers", wide_model(Path(folder)))):
            for link_name, link in LINKS.items():
                print(f"\n{name} over {link_name} ({link.rtt_ms:g} ms), {options.questions} questions\n")
                compare(model, link, options.tiers, options.questions)


def wide_model(folder: Path) -> str:
    """A model of random weights with the nano models' tokenizer, saved as a checkpoint."""
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("zoo:cloud"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=12,
        max_position_embeddings=1024,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def compare(model: str, link: Link, tiers: list[str], questions: int) -> None:
    """Asks all tiers every question in turn, and prints a table."""
    deployments = [Deployment(name=tier, tier=tier, link=link) for tier in tiers]  # type: ignore[arg-type]
    clouds = []
    for deployment in deployments:
        use_deployment(deployment)
        clouds.append(CloudModel(model=model, max_tokens=MAX_TOKENS, share=False, fused=False, threads=1))
        clouds[-1].load()
    try:
        answers = [
            [
                ask(cloud, deployment, number, question.prompt)
                for cloud, deployment in zip(clouds, deployments, strict=True)
            ]
            for number, question in enumerate(test_questions()[: questions + WARM_UP])
        ][WARM_UP:]
    finally:
        for cloud in clouds:
            cloud.cleanup()
    same = sum(len({answer["completion"] for answer in row}) == 1 for row in answers)
    print(f"equal answers in all tiers: {same} of {len(answers)}\n")
    print("| tier | " + " | ".join(f"{name} [ms] | ratio (95 %)" for name in FIGURES) + " | up, down [bytes] |")
    print("|" + " --- |" * (2 * len(FIGURES) + 2))
    for index, tier in enumerate(tiers):
        cells = [cell for key in FIGURES.values() for cell in figure(answers, index, key)]
        link_use = [
            statistics.median(row[index]["link"][key] for row in answers) for key in ("uplink_bytes", "downlink_bytes")
        ]
        print(f"| {tier} | {' | '.join(cells)} | {link_use[0]:.0f}, {link_use[1]:.0f} |")


def ask(cloud: CloudModel, deployment: Deployment, number: int, prompt: str) -> dict:
    """One question in one tier."""
    use_deployment(deployment)
    return dict(cloud.inference(Query({"query_id": f"q{number}", "query": prompt})))


def figure(answers: list[list[dict]], index: int, key: str) -> tuple[str, str]:
    """Median in milliseconds, and the median ratio to the first tier with its interval."""
    rows = [row for row in answers if row[0]["perf"][key] and row[index]["perf"][key]]
    values = [row[index]["perf"][key] * 1000 for row in rows]
    ratios = np.array([row[index]["perf"][key] / row[0]["perf"][key] for row in rows])
    if index == 0:
        return f"{statistics.median(values):.2f}", "1"
    low, high = bootstrap((ratios,), np.median, rng=np.random.default_rng(0)).confidence_interval
    return f"{statistics.median(values):.2f}", f"{np.median(ratios):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
