"""What a user may write for each component; nothing here imports torch or numpy."""
