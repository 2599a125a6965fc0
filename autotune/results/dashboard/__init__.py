"""optuna-dashboard on all studies of a storage, answered to this machine's browser alone.

artifacts   The artifacts of all studies of a storage, for one dashboard: each study has a store of its own
guard       Whom the dashboard answers, and how
few_curves  The page of a study with thousands of trials, drawn in time
serving     optuna-dashboard on a storage and the artifacts of its studies, for this machine only
"""

from autotune.results.dashboard.serving import serve_dashboard, stores_left_out, studies_left_out

__all__ = ["serve_dashboard", "stores_left_out", "studies_left_out"]
