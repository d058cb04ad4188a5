"""The answers of a finished run, as other programs read them: a file a format."""
