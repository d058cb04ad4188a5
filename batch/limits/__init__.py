"""What holds a run back: places, moments, pauses, bytes. Times are seconds of a given clock."""
