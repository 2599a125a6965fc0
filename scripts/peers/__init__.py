"""Searches by Optuna alone, KerasTuner, Ray Tune and this package on the same task, for scripts/benchmark_peers.py."""
