"""What people see: observers of a run and readers of its files."""
