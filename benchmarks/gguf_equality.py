"""A nano model under llama.cpp beside transformers: greedy answers that are equal, size, and time of a token.

For each precision: how many of the greedy completions are those of transformers in float32, where the first one parts
and by how much transformers preferred its own token there, bytes of the weights, and the median time of a token, one
prompt at a time on one thread.

Run it from the repository's root: `python benchmarks/gguf_equality.py [--prompts 200]`.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ianvs_collab.modelserver import ModelServer, SamplingParams, load_model
from ianvs_collab.modelserver.backends.llamacpp import load
from ianvs_collab.modelserver.convert.equality import compare_greedy
from ianvs_collab.modelserver.convert.gguf_file import convert_to_gguf
from ianvs_collab.zoo.export import test_questions

PRECISIONS = ("f32", "f16", "bf16", "q8_0", "q5_0", "q4_0")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200, help="held-out questions (default: 200)")
    prompts = [question.prompt for question in test_questions()[: parser.parse_args().prompts]]
    for name in ("edge", "cloud"):
        reference = load_model("transformers", f"zoo:{name}")
        print(f"{name}: transformers float32, {tpot(reference, prompts):.3f} ms a token")
        with tempfile.TemporaryDirectory() as folder:
            for file in convert_to_gguf(f"zoo:{name}", Path(folder), PRECISIONS):
                server = load(str(file.path), kv_precision="f32" if file.precision == "f32" else "f16")
                found = compare_greedy(reference, server, prompts)
                print(
                    f"{name}: llama.cpp {file.precision}, {file.weight_bytes} bytes, {file.bits:.2f} bits a parameter, "
                    f"{tpot(server, prompts):.3f} ms a token: {found}"
                )
                server.close()


def tpot(server: ModelServer, prompts: Sequence[str]) -> float:
    """Median time between two tokens in milliseconds."""
    gaps: list[float] = []
    for prompt in prompts[:40]:
        times = server.generate(prompt, SamplingParams(max_tokens=32)).token_times
        gaps += [after - before for before, after in itertools.pairwise(times)]
    return 1000 * statistics.median(gaps)


if __name__ == "__main__":
    main()
