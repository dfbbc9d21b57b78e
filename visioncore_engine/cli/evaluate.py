"""Score a trained run on one or several splits, and write its tables into the run folder."""

from __future__ import annotations

import argparse
import json
import math

from visioncore_engine.cli.parser import add_plugins, add_sets, example, selected_of

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the run folder")
    parser.add_argument("--checkpoint", default="best", metavar="best|last|FILE", help="which checkpoint (best)")
    parser.add_argument("--split", nargs="+", default=["validation"], metavar="SPLIT", help="which splits (validation)")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON, for machines")
    parser.add_argument("--fresh", action="store_true", help="run evaluators anew whose results are kept")
    add_sets(parser)
    add_plugins(parser)
    example(
        parser,
        "visioncore evaluate runs/demo/20260101-120000",
        "visioncore evaluate runs/demo/20260101-120000 --checkpoint last --split validation test --json",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate."""
    registry = selected_of(arguments)
    from visioncore_engine.evaluation import evaluate

    results = evaluate(
        arguments.run_dir,
        checkpoint=arguments.checkpoint,
        splits=tuple(arguments.split),
        sets=arguments.sets,
        registry=registry,
        fresh=arguments.fresh,
    )
    scores = {
        split: {name: value for result in found.values() for name, value in result.scalars.items()}
        for split, found in results.items()
    }
    if arguments.json:
        # JSON has no NaN: null says that nothing could be scored.
        plain = {
            split: {name: None if math.isnan(value) else value for name, value in found.items()}
            for split, found in scores.items()
        }
        print(json.dumps(plain, indent=2))
        return 0
    from visioncore_engine.display import format_scores

    print(format_scores(scores))
    return 0
