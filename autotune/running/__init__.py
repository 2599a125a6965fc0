"""Where and when trials run: storage, slots, trial processes, leases, recovery, Ray."""
