"""The database of the studies: opened, waited for, and named without its password."""

import random
import re
import time

import optuna
import sqlalchemy.exc

OUTAGES: tuple[type[Exception], ...] = (
    optuna.exceptions.StorageInternalError, sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.PendingRollbackError, OSError,
)  # fmt: skip
"""What a database raises that is down, restarting or full: worth trying again."""

SCHEMA_WAITS_S = (0.5, 1.0, 2.0, 4.0)
"""Between tries at a database in which somebody else is making the tables."""


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """Raises ValueError where the URL's database cannot be opened."""
    try:
        for wait_s in SCHEMA_WAITS_S:
            try:
                return _storage(url)
            except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as fault:
                if not _is_half_made(fault):
                    raise
                time.sleep(random.uniform(0.5, 1.0) * wait_s)
        return _storage(url)
    except Exception as fault:
        if type(fault) is sqlalchemy.exc.DatabaseError and url.startswith("sqlite"):  # damaged, not out of reach
            raise ValueError(
                f"study storage {url} cannot be read ({reason_of(fault)}): put a copy back, or move it away: sparsweep "
                "resume rebuilds its sweep's study from the trials' records"
            ) from fault
        raise ValueError(
            f"study storage {without_password(url)} cannot be opened ({reason_of(fault)}): give --study-storage "
            "a database URL such as sqlite:///studies.db or postgresql://user@host/name"
        ) from fault


def _storage(url: str) -> optuna.storages.RDBStorage:
    local = {"connect_args": {"timeout": 60}}
    return optuna.storages.RDBStorage(url, engine_kwargs=local if url.startswith("sqlite") else {"pool_pre_ping": True})


def _is_half_made(fault: BaseException) -> bool:
    """Whether the tables are being made by another driver right now: each makes those that it does not see."""
    causes = (fault, fault.__cause__)
    doubled = (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError)
    return any(isinstance(each, doubled) or "already exists" in str(each) for each in causes)


def reason_of(fault: BaseException) -> str:
    """The first line of what a database said, without its password; Optuna's own text on top of it says less."""
    if isinstance(fault, optuna.exceptions.StorageInternalError) and fault.__cause__ is not None:
        fault = fault.__cause__
    return without_password((str(fault).strip() or type(fault).__name__).splitlines()[0])


def delete(storage: optuna.storages.BaseStorage, name: str) -> None:
    """Removes a sweep's studies, if they are there."""
    for study in (name, f"{name}/points"):
        if study in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=study, storage=storage)


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    head, at, tail = url.rpartition("@")
    scheme, colon, rest = head.partition("://")
    user, secret, _ = rest.partition(":")
    shown = f"{scheme}{colon}{user}:***@{tail}" if at and secret else url
    return re.sub(r"(?i)([?&][^=&]*(?:password|token|secret)[^=&]*=)[^&]*", r"\1***", shown)
