"""Where MLflow keeps its tables: is it there, is its schema made, and whose turn is it."""

import base64
import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import re
import sqlite3
import ssl
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sparsweep.search.with_mlflow.quiet import settle
from sparsweep.search.with_mlflow.schema import QUESTION, schema_fault

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
ADVICE = (
    "give the http(s) address of an MLflow server, sqlite:////absolute/path.db, or a postgresql, mysql or mssql URI "
    "(--tracking-uri or MLFLOW_TRACKING_URI)"
)


def without_password(uri: str) -> str:
    """The URI, or a text that holds some, as it may be shown: a password in address or query is replaced by ***."""
    shown = re.sub(r"(://[^/:@\s]*):[^\s]*@", r"\1:***@", uri)
    return re.sub(r"(?i)([?&][^=&\s]*(?:password|token|secret)[^=&\s]*=)[^&\s]*", r"\1***", shown)


def scheme_of(uri: str) -> str:
    """`postgresql` for `postgresql+psycopg2://…`; empty for a plain path."""
    return uri.split("://")[0].split("+")[0].lower() if "://" in uri else uri.partition(":")[0] * (":" in uri)


def is_server(uri: str) -> bool:
    return scheme_of(uri) in ("http", "https")


def sqlite_path(uri: str) -> Path | None:
    """The database file of a `sqlite:` URI, absolute; None for any other URI."""
    if scheme_of(uri) != "sqlite":
        return None
    return Path(uri.split("///", 1)[-1].split("?")[0]).absolute()


def client_of(tracking_uri: str, registry_uri: str | None = None) -> "MlflowClient":
    """A client bound to its URIs; MLflow's global tracking URI is neither read nor changed."""
    settle()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=registry_uri or tracking_uri)


def reachable(tracking_uri: str, timeout_s: float = 5) -> None:
    """Asks once, without MLflow's retries, whether the store answers.

    Raises:
        ValueError: nobody answers within `timeout_s`, access is refused, the database cannot be opened, or MLflow
            keeps no record at such a URI (a folder: MLflow 3.17 refuses its file store).
    """
    shown = without_password(tracking_uri)
    if is_server(tracking_uri):
        fault = _within(timeout_s, lambda: _server_fault(tracking_uri, timeout_s))
    elif (path := sqlite_path(tracking_uri)) is not None:
        fault = _within(timeout_s, lambda: _sqlite_fault(tracking_uri, path, timeout_s))
    elif scheme_of(tracking_uri) in DATABASES:
        fault = _within(timeout_s, lambda: _database_fault(tracking_uri))
    else:
        fault = "MLflow keeps no record at such an address; " + ADVICE
    if fault is not None:
        raise ValueError(f"tracking URI {shown}: {fault}")


def _within(timeout_s: float, check: Callable[[], str | None]) -> str | None:
    """What `check` finds; it runs in a thread of its own, as a name look-up or a driver may hang without limit."""
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(check()), daemon=True)
    thread.start()
    thread.join(timeout_s)
    return found[0] if found else f"no answer within {timeout_s:g} s; is it up and the address right?"


def _server_fault(uri: str, timeout_s: float) -> str | None:
    """A listing of experiments is asked for, not /health: only that needs the database and the credentials."""
    parts = urlsplit(uri)
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/experiments/search?max_results=1")
    user, password = parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME"), parts.password
    password = unquote(password) if password else os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user:
        secret = base64.b64encode(f"{unquote(user)}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {secret}")
    elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s, context=_trusted()) as answer:
            json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            said = f"it answers {error.code} {error.reason}"
        if error.code in (401, 403):
            return said + "; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return said + "; is it an MLflow server?"
    except UntrustedError as error:
        return str(error)
    except (ValueError, HTTPException):
        return "it answers, but not as an MLflow server does; is the address right?"
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({reason.verify_message}); name a file with the certificate of the "
                "authority that signed it in MLFLOW_TRACKING_SERVER_CERT_PATH"
            )
        return f"no MLflow server answers ({reason}); is it up and the address right?"
    return None


class UntrustedError(ValueError):
    """What says whom to trust cannot be used."""


def _trusted() -> ssl.SSLContext:
    """Whom MLflow's own client will trust: the same variables, and certifi's authorities where none is set."""
    import certifi

    variables = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    named, given = next(((name, os.environ[name]) for name in variables if os.environ.get(name)), ("", ""))
    own = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH")
    try:
        if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        elif given and Path(given).is_dir():
            context = ssl.create_default_context(capath=given)
        else:
            context = ssl.create_default_context(cafile=given or certifi.where())
        if own:
            named, given = "MLFLOW_TRACKING_CLIENT_CERT_PATH", own
            context.load_cert_chain(own)
    except OSError as error:
        raise UntrustedError(f"{named} {given} cannot be used ({error.strerror or error}): name a PEM file") from error
    return context


def _sqlite_fault(uri: str, path: Path, timeout_s: float) -> str | None:
    if not uri.startswith("sqlite:///") or str(path).endswith(":memory:") or path.is_dir():
        return "not a database file; write sqlite:////absolute/path.db"
    if not path.exists():
        there = next(parent for parent in path.parents if parent.exists())
        return None if there.is_dir() and os.access(there, os.W_OK) else f"{there} cannot be written to"
    if not os.access(path, os.W_OK):
        return f"{path} cannot be written to"
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=timeout_s)) as connection:
            connection.execute("PRAGMA query_only = ON")
            tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            row = connection.execute(QUESTION).fetchone() if tables else None
    except sqlite3.Error as error:
        return (
            f"SQLite cannot open it ({error}); put a copy back, or move it away: sparsweep resume writes its sweep's "
            "trials and versions anew from the records"
        )
    return schema_fault(row and row[0], uri)


def _database_fault(uri: str) -> str | None:
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(uri)
        with engine.connect() as connection:
            tables = sqlalchemy.inspect(connection).has_table("alembic_version")
            found = connection.execute(sqlalchemy.text(QUESTION)).scalar() if tables else None
        engine.dispose()
    except ModuleNotFoundError as error:
        return f"its driver is not installed ({error.name}): pip install psycopg2-binary, pymysql or pymssql"
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        return f"the database does not let us in ({without_password(first)})"
    return schema_fault(found, without_password(uri))


@contextlib.contextmanager
def exclusively(uri: str, what: str = "store") -> Iterator[None]:
    """One process and thread at a time, by a lock file beside a SQLite database.

    For any other store the file lies in this machine's temporary folder: two machines are kept apart only by the rule
    that one driver holds a sweep's name.
    """
    name = re.sub(r"[^\w.-]", "_", what)
    if (database := sqlite_path(uri)) is not None:
        path = database.with_name(f"{database.name}.{name}.lock")
    else:
        key = hashlib.sha256(uri.encode()).hexdigest()[:12]
        path = Path(tempfile.gettempdir()) / f"sparsweep-{getpass.getuser()}-{key}.{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare_store(uri: str) -> None:
    """Makes MLflow's schema (3 to 6 s) where it is missing; of several callers one makes it and the others wait.

    A new SQLite file is made beside and renamed, so that a kill leaves no half-made schema. A server makes its own.

    Raises:
        ValueError: the schema is another MLflow's, or the database cannot be opened.
    """
    if is_server(uri):
        return
    settle()
    from mlflow.exceptions import MlflowException

    with exclusively(uri):
        try:
            if (path := sqlite_path(uri)) is not None and not path.exists():
                beside = path.with_name(f"{path.name}.new")
                beside.unlink(missing_ok=True)
                client_of(f"sqlite:///{beside}").search_experiments(max_results=1)
                beside.replace(path)
            client_of(uri).search_experiments(max_results=1)
        except MlflowException as error:
            raise ValueError(f"tracking URI {without_password(uri)}: {error.message}") from error
