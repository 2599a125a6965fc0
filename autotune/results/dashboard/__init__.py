"""optuna-dashboard for all studies of a storage, which answers only browsers on this machine.

artifacts   One artifact store for the dashboard, which uses the store of the study that a request is about
guard       Protection of the dashboard against requests of other sites and against artifacts that are programs
few_curves  A faster page for studies with thousands of trials: fewer curves, sent earlier
serving     Serve optuna-dashboard on a storage and the artifacts of its studies, on this machine only
"""

from autotune.results.dashboard.few_curves import FewCurves
from autotune.results.dashboard.serving import serve_dashboard, stores_left_out, studies_left_out

__all__ = ["FewCurves", "serve_dashboard", "stores_left_out", "studies_left_out"]
