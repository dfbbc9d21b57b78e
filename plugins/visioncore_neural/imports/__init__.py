"""Run files from the configurations and command lines of other systems; nothing here imports torch."""
