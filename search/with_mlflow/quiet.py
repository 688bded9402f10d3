"""MLflow's manners as a guest: no telemetry, no progress bars, no links or tracebacks on the terminal, no minutes of
retries.

MLflow reads all of this from the environment, some of it while it is imported. What the user has set stays.
"""

import logging
import os
import sys

MANNERS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Three retries take about 15 seconds; MLflow's own seven take 4 minutes, and a replay repeats what failed anyway."""


DATABASE = "mlflow.store.db.utils"
"""Logger of MLflow's embedded database."""


def _is_not_raised(record: logging.LogRecord) -> bool:
    """Leaves out what MLflow raises as well: a full disk, a locked file. Whoever it is raised to tells it, in a line.

    A filter, since MLflow resets its loggers' levels when it is imported; one who wants MLflow to say more has all.
    """
    return record.exc_info is None or logging.getLogger("mlflow").isEnabledFor(logging.INFO)


def settle() -> None:
    """Sets MLflow's environment variables where the user has not; an mlflow imported earlier is quieted, too."""
    for name, value in MANNERS.items():
        os.environ.setdefault(name, value)
    logging.getLogger(DATABASE).addFilter(_is_not_raised)
    if "mlflow" in sys.modules:
        logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
