"""What was found, and whether it can be trusted."""
