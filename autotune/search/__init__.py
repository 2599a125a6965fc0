"""Which hyperparameters next, and which trial to stop: in Optuna's own interfaces."""
