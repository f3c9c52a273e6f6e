"""`ianvs model profile`: measure every variant of a model and write the portfolio."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ianvs_collab.precision.profile.variants import VARIANTS


def main(argv: Sequence[str]) -> int:
    """Run `ianvs model profile <argv>`.

    Args:
        argv: What stands behind `ianvs model profile` on the command line, e.g. `["zoo:cloud", "--out", "p.json"]`.

    Returns:
        0 if a portfolio was written, 1 if not (the reason stands on stderr).

    Raises:
        SystemExit: If the command line is wrong (status 2) or asks for help (0).
    """
    arguments = _parser().parse_args(list(argv))
    from ianvs_collab.grading import ExtractorError  # noqa: PLC0415 - slow; `-h` answers at once
    from ianvs_collab.link.deployment import DeploymentError  # noqa: PLC0415 - likewise
    from ianvs_collab.modelserver import ModelServerError  # noqa: PLC0415 - likewise
    from ianvs_collab.precision.portfolio import PrecisionError  # noqa: PLC0415 - likewise

    try:
        _profile(arguments)
    except (PrecisionError, DeploymentError, ModelServerError, ExtractorError) as error:
        print(f"{error}\nno portfolio was written", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"{arguments.out}: cannot be written ({error.strerror}); free space or choose another --out",
            file=sys.stderr,
        )
        return 1
    return 0


def _profile(arguments: argparse.Namespace) -> None:
    from ianvs_collab.link import load_deployment  # noqa: PLC0415 - slow; `-h` answers at once
    from ianvs_collab.precision.codec import write_portfolio  # noqa: PLC0415 - likewise
    from ianvs_collab.precision.profile.building import build_portfolio  # noqa: PLC0415 - likewise
    from ianvs_collab.precision.profile.measuring import Failure, Plan, measure  # noqa: PLC0415 - likewise
    from ianvs_collab.precision.profile.questions import items_sha256, read_items, zoo_items  # noqa: PLC0415 - likewise
    from ianvs_collab.precision.profile.report import portfolio_table  # noqa: PLC0415 - likewise
    from ianvs_collab.precision.profile.variants import prepare_variants  # noqa: PLC0415 - likewise

    deployment = load_deployment(arguments.deployment)
    plan = Plan(arguments.rounds, arguments.max_tokens, arguments.extractor, arguments.clock)
    items = read_items(arguments.data, arguments.limit) if arguments.data else zoo_items(arguments.limit)
    names = list(dict.fromkeys([*arguments.variants, *arguments.edge, *arguments.cloud]))
    variants, unprepared = prepare_variants(arguments.model, names, [item.prompt for item in items], arguments.threads)
    found, failures = measure(variants, items, plan, lambda line: print(line, file=sys.stderr, flush=True))
    portfolio = build_portfolio(
        found,
        [*(Failure(*each) for each in unprepared.items()), *failures],
        deployment,
        plan,
        function=f"answer a question with {arguments.model}",
        data={"source": arguments.data or "zoo", "questions": len(items), "sha256": items_sha256(items)},
        places={"edge": arguments.edge or names, "cloud": arguments.cloud or names},
    )
    write_portfolio(portfolio, arguments.out)
    print(portfolio_table(portfolio))
    print(f"\n{len(portfolio.pairs)} pairs of {len(portfolio.variants)} variants written to {arguments.out}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ianvs model profile",
        description="Run every variant of a model on calibration questions, each in a process of its own, and write "
        "what was measured as a portfolio, from which an orchestrator chooses.",
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="zoo:edge, zoo:cloud, a checkpoint folder or a hub name")
    add("--out", type=Path, default=Path("portfolio.json"), metavar="FILE", help="default: portfolio.json")
    add("--variants", type=_names, default=list(VARIANTS), metavar="V[,V...]", help=f"default: {','.join(VARIANTS)}")
    add("--edge", type=_names, default=[], metavar="V[,V...]", help="variants on the edge device (default: all)")
    add("--cloud", type=_names, default=[], metavar="V[,V...]", help="variants on the cloud device (default: all)")
    add("--deployment", metavar="FILE", help="devices: slowdown, memory, power, price (default: two like this machine)")
    add("--data", metavar="FOLDER", help="questions in Ianvs's form (default: nano questions held out for this)")
    add("--limit", type=int, default=204, metavar="N", help="at most how many questions (default: 204)")
    add("--rounds", type=int, default=1, metavar="N", help="how often each is asked (default: 1)")
    add("--max-tokens", type=int, default=64, metavar="N", help="longest completion (default: 64)")
    add("--extractor", default="option-text", metavar="NAME", help="how answers are read (default: option-text)")
    add("--clock", choices=["wall", "cpu"], default="wall", help="what is measured of an answer (default: wall)")
    add("--threads", type=int, metavar="N", help="threads of one operation (default: the back-end's own choice)")
    return parser
