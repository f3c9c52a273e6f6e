"""Writes this example's data, from what both nano models answered to the nano training questions.

The subjects are dealt to three blocks. The router's makers know part of the first one, with both models' answers
(`warm_up/`). The job asks the rest of it and then two blocks of subjects that nobody has seen before (`stream/`).
The models are recordings (`edge.jsonl`, `cloud.jsonl`), so that thousands of queries take seconds.
"""

import argparse
import json
from pathlib import Path

from ianvs_collab.routing.online import subject_blocks
from ianvs_collab.routing.traces import read_trace, write_trace


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_questions(folder, rows):
    """Questions in Ianvs's form."""
    dims = {"level_1_dim": "single-modal", "level_2_dim": "text"}
    asked = [
        {"prompt": "", "query": row.text, "response": row.gold, "explanation": "", **dims}
        | {"level_3_dim": row.language, "level_4_dim": row.subject}
        for row in rows
    ]
    write_lines(folder / "data.jsonl", asked)
    about = {"dataset": "nano-stream", "description": "Subjects arrive in blocks", **dims}
    about |= {"level_3_dim": "language", "level_4_dim": "subject"}
    (folder / "metadata.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def write_recording(path, rows, side):
    """Answers of one model, for the back-end `replay`."""
    answers = [(row.text, getattr(row, side)) for row in rows]
    names = ("completion", "prompt_tokens", "completion_tokens")
    write_lines(path, [{"prompt": text, **{name: getattr(made, name) for name in names}} for text, made in answers])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", default="testenv/nano/train_data")
    parser.add_argument("--to", type=Path, default=Path("data/lifelong_routing"))
    parser.add_argument("--seed", type=int, default=0, help="deals the subjects to blocks")
    options = parser.parse_args()
    trace = read_trace(options.trace)
    stream = subject_blocks(trace.subjects, options.seed, blocks=3)
    known, asked = trace.subset(stream.warm_up), trace.subset(stream.arriving)
    write_questions(options.to / "warm_up", known)
    write_trace(known, options.to / "warm_up")
    write_questions(options.to / "stream", asked)
    for side in ("edge", "cloud"):
        write_recording(options.to / f"{side}.jsonl", asked, side)
    print(f"{len(known)} known questions and a stream of {len(asked)} in {options.to}")
    print(f"the subjects change at query {len(stream.before)} and at {len(stream.before) + len(stream.after[0])}")


if __name__ == "__main__":
    main()
