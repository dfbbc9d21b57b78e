"""Train a run: everything is checked first, then shown, then trained; the run folder holds what was made."""

from __future__ import annotations

import argparse

from visioncore_engine.cli.parser import add_run, example, resolved_of

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    parser.add_argument("--resume", action="store_true", help="continue run.dir, else the newest run of this name")
    parser.add_argument("--quiet", action="store_true", help="show nothing but where the run lies")
    parser.add_argument(
        "--profile-plugins", action="store_true", help="measure what each component costs per step, and show it"
    )
    example(
        parser,
        "visioncore train configs/demo.yaml",
        "visioncore train configs/demo.yaml --set trainer.max_epochs=2 --set run.dir=runs/trial",
        "visioncore train configs/demo.yaml --resume",
        "visioncore train configs/demo.yaml --profile-plugins --set trainer.max_epochs=1",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train."""
    resolved = resolved_of(arguments)
    from visioncore_engine.launch.entry import enter

    def count_gpus() -> int:
        from visioncore_engine.devices import count_gpus

        return count_gpus(resolved)

    flags = ["--profile-plugins"] if arguments.profile_plugins else []
    entry = enter(resolved, resume=arguments.resume, quiet=arguments.quiet, count_gpus=count_gpus, flags=flags)
    if entry.handed_to:  # without torch: clusters are told from machines that may not have it
        print(entry.handed_to)
        return 0
    from visioncore_engine.devices import step_clock
    from visioncore_engine.profiling import Profile
    from visioncore_engine.run import train_entered

    profile = Profile(step_clock(resolved)) if arguments.profile_plugins and entry.place is not None else None
    result = train_entered(resolved, entry, quiet=arguments.quiet, profile=profile)
    if entry.place is not None and entry.place.rank > 0:
        return 0  # the first process tells what all of them did
    if not arguments.quiet:
        from visioncore_engine.display import format_profile, format_scores

        if result.profile is not None:
            print(f"\nCosts\n{format_profile(result.profile)}")
        scores = {name.removeprefix("val/"): value for name, value in result.scores.items()}
        print(f"\nScores of the best checkpoint\n{format_scores({'validation': scores})}\n")
    print(f"the run lies in {result.run_dir}, its report in {result.run_dir / 'report.html'}")
    return 0
