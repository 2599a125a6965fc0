"""Where and when trials run: storage, slots, trial processes, recovery."""
