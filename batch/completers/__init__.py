"""Completers that stand between the runner and the wire, and are made of other completers."""
