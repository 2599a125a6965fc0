"""Samplers and pruners, with Optuna's interfaces: which configuration to try next, and which trial to stop."""
