"""Where a run takes place. An engine is a callable: Settings → Summary."""
