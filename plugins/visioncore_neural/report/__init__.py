"""Sections that runs on neural recordings add to a report. All of them need the evaluator `units` in the run."""
