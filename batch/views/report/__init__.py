"""The page of a run: its answers to look through, its failures, its figures, in one file."""
