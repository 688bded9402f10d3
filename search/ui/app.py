"""The server of the page: routes of the API, the page's own files, and who may ask for them."""

import gzip
import mimetypes
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware

from sparsweep.search.home import Home
from sparsweep.search.listing import presets
from sparsweep.search.redaction import without_secrets
from sparsweep.search.ui import running, schemas
from sparsweep.search.ui.cloud import as_json
from sparsweep.search.ui.guard import COOKIE, HEADERS, Guard
from sparsweep.search.ui.live import Live
from sparsweep.search.ui.models import Models
from sparsweep.search.ui.reading import NotThereError, Reader
from sparsweep.search.ui.running import Runner
from sparsweep.spaces.faults import SweepFileError

PAGE = Path(__file__).with_name("page")
SweepName = Annotated[str, InPath(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ModelName = Annotated[str, InPath(pattern=r"^[\w. -]{1,128}$")]
VersionNumber = Annotated[str, InPath(pattern=r"^[0-9]{1,9}$")]
AliasName = Annotated[str, InPath(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
FAULTS: dict[int | str, dict[str, Any]] = {
    code: {"description": about, "content": {"application/json": {"schema": {"type": "object"}}}}
    for code, about in {
        400: "cannot be done as asked", 401: "a token is needed", 403: "another site's page", 404: "is not there",
        415: "a body that is no JSON", 421: "not this server's name", 503: "a store cannot be reached",
    }.items()
}  # fmt: skip


def app_of(home: Home, tracking_uri: str, guard: Guard) -> FastAPI:
    """The application over one home and one registry."""
    app = FastAPI(
        title="sparsweep", description="Sweeps, frontiers and models. " + (schemas.__doc__ or ""),
        docs_url=None, redoc_url=None, openapi_url="/api/openapi.json", responses=FAULTS,
    )  # fmt: skip
    reader = Reader(home)
    _add_reading(app, reader)
    _add_running(app, reader, Runner(home))
    _add_models(app, Models(tracking_uri))
    _add_page(app)
    _add_faults(app)
    app.add_middleware(GZipMiddleware, minimum_size=2048, compresslevel=3)
    _add_guard(app, guard)
    return app


def _add_reading(app: FastAPI, reader: Reader) -> None:
    live = app.state.live = Live(reader)

    @app.get("/api/sweeps", tags=["sweeps"])
    def sweeps() -> list[schemas.SweepState]:
        """All sweeps, those at work first."""
        return reader.sweeps()

    @app.get("/api/sweeps/{name}", tags=["sweeps"])
    def sweep(name: SweepName) -> schemas.SweepDetail:
        """One sweep: its file, how far it is, its history, what failed."""
        return reader.detail(name)

    @app.get("/api/sweeps/{name}/points", tags=["frontier"], response_model=schemas.Columns)
    def points(name: SweepName, since: int = 0) -> Response:
        """All points by column, or those from a row on."""
        cloud = reader.cloud(name)
        content = as_json(cloud.payload(since)) if since > 0 else cloud.all_json()
        return Response(content, media_type="application/json")

    @app.get("/api/sweeps/{name}/points/{trial}/{cut}", tags=["frontier"])
    def point(name: SweepName, trial: int, cut: str) -> schemas.PointDetail:
        """One point with its layers, latencies and learning curve."""
        return reader.point(name, trial, cut)

    @app.get("/api/sweeps/{name}/events", tags=["frontier"], response_class=StreamingResponse)
    async def events(name: SweepName, version: int = -1) -> StreamingResponse:
        """Server-sent events: `state`, `points` (new rows), `reload` (rows changed), `stale`, `gone`."""
        reader.folder(name)
        return StreamingResponse(live.events(name, version), media_type="text/event-stream")


def _add_running(app: FastAPI, reader: Reader, runner: Runner) -> None:
    @app.get("/api/presets", tags=["running"])
    def known_presets() -> list[dict[str, str]]:
        """Presets with their sweep files."""
        return [{**row, "text": _preset_text(row["preset"])} for row in presets()]

    @app.post("/api/check", tags=["running"])
    def check(given: schemas.Text) -> schemas.Checked:
        """All faults of a sweep file, as the command line tells them."""
        return running.check(given.text, runner.home)

    @app.post("/api/sweeps", tags=["running"], status_code=202)
    def start(given: schemas.Text) -> schemas.Started:
        """Begins a sweep; `/api/sweeps/{name}/command` tells what became of it."""
        return runner.start(given.text)

    @app.post("/api/submit", tags=["running"], status_code=202)
    def submit(given: schemas.Address) -> schemas.Started:
        """Sends a sweep to a cluster's job server."""
        return runner.submit(given.text, given.address)

    @app.post("/api/sweeps/{name}/stop", tags=["running"])
    def stop(name: SweepName) -> dict[str, str]:
        """Asks the sweep's driver to stop, wherever it is."""
        return {"said": runner.stop(reader.folder(name))}

    @app.post("/api/sweeps/{name}/resume", tags=["running"], status_code=202)
    def resume(name: SweepName, given: schemas.Budget) -> schemas.Started:
        """Goes on with a sweep."""
        return runner.resume(reader.folder(name), given.trials, given.time_limit)

    @app.get("/api/sweeps/{name}/command", tags=["running"])
    def command(name: SweepName) -> schemas.Started:
        """What became of the command that was last begun here for a sweep."""
        if (known := runner.state(name)) is None:
            raise NotThereError(f"no command was begun for sweep {name} from this page")
        return known


def _add_models(app: FastAPI, models: Models) -> None:
    @app.get("/api/models", tags=["models"])
    def names() -> list[str]:
        """Registered models."""
        return models.names()

    @app.get("/api/models/{model}", tags=["models"])
    def one(model: ModelName, device: str | None = None) -> schemas.Model:
        """A model's versions, aliases and their history; with a device the versions measured there, as they are."""
        return models.model(model, device)

    @app.post("/api/models/{model}/pick", tags=["models"])
    def pick(model: ModelName, wish: schemas.Wish) -> schemas.Picked:
        """The version that satisfies every wish and is best in one figure, with the reason and what was next best."""
        return models.pick(model, wish)

    @app.put("/api/models/{model}/aliases/{alias}", tags=["models"])
    def name_version(model: ModelName, alias: AliasName, given: schemas.Alias) -> schemas.Model:
        """Lets an alias name a version."""
        return models.name_version(model, alias, given.version)

    @app.post("/api/models/{model}/versions/{version}/export", tags=["models"], response_class=FileResponse)
    def export(model: ModelName, version: VersionNumber, given: schemas.Export) -> FileResponse:
        """The version's files as a zip, each opened in a fresh process before."""
        packed = models.export(model, version, given.format)
        gone = BackgroundTask(shutil.rmtree, packed.parent, ignore_errors=True)
        return FileResponse(packed, filename=packed.name, media_type="application/zip", background=gone)


def _add_page(app: FastAPI) -> None:
    """Every view's address is the page itself; its script reads the address."""

    @app.get("/assets/plotly.js", include_in_schema=False)
    def plotly(request: Request) -> Response:
        headers = {"Cache-Control": "private, max-age=86400", "Vary": "Accept-Encoding"}
        packed = "gzip" in request.headers.get("accept-encoding", "")
        packing = {"Content-Encoding": "gzip"} if packed else {}
        return Response(plotly_js(packed=packed), media_type="text/javascript", headers=headers | packing)

    @app.get("/assets/{name}", include_in_schema=False)
    def asset(name: str) -> Response:
        known = {path.name: path for path in PAGE.iterdir()}
        if name not in known:
            raise NotThereError(f"no file {name}")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(known[name].read_bytes(), media_type=kind)

    @app.get("/{view:path}", include_in_schema=False)
    def page(view: str) -> Response:
        if view.startswith("api/"):
            raise NotThereError(f"the API has no {view}")
        return Response((PAGE / "index.html").read_bytes(), media_type="text/html; charset=utf-8")


@cache
def plotly_js(*, packed: bool) -> bytes:
    """The script of the installed plotly; packed once, which takes longer than everything else that a page needs."""
    from plotly.offline import get_plotlyjs

    script = str(get_plotlyjs()).encode()
    return gzip.compress(script, 6) if packed else script


def _preset_text(name: str) -> str:
    from importlib import resources

    return (resources.files("sparsweep.spaces.presets") / f"{name}.yaml").read_text("utf-8")


def _add_faults(app: FastAPI) -> None:
    """One object with a text for whatever goes wrong; a fault of ours has no traceback in it."""

    def told(status: int, fault: Exception, more: Mapping[str, Any] | None = None) -> JSONResponse:
        text = without_secrets(str(fault).strip() or type(fault).__name__)
        return JSONResponse({"text": text, **(more or {})}, status_code=status)

    @app.exception_handler(NotThereError)
    async def missing(_: Request, fault: NotThereError) -> JSONResponse:
        return told(404, fault)

    @app.exception_handler(SweepFileError)
    async def faulty(_: Request, fault: SweepFileError) -> JSONResponse:
        return told(400, fault, {"faults": [{"line": f.line, "text": str(f)} for f in fault.faults]})

    @app.exception_handler(ValueError)
    async def refused(_: Request, fault: ValueError) -> JSONResponse:
        away = str(fault).startswith("tracking URI")
        return told(503 if away else 400, fault)

    @app.exception_handler(OSError)
    async def away(_: Request, fault: OSError) -> JSONResponse:
        return told(503, fault)


def _add_guard(app: FastAPI, guard: Guard) -> None:
    @app.middleware("http")
    async def guarded(request: Request, go_on: RequestResponseEndpoint) -> Response:
        offered = request.query_params.get("token")
        if offered is not None and guard.is_token(offered):
            answer: Response = RedirectResponse(request.url.path, status_code=303)
            answer.set_cookie(COOKIE, offered, httponly=True, samesite="strict")
            return answer
        headers = {name.lower(): value for name, value in request.headers.items()}
        api = request.url.path.startswith("/api/")
        refusal = guard.refusal(request.method, headers, request.cookies.get(COOKIE), api=api)
        if refusal is not None:
            answer = JSONResponse({"text": refusal.text}, status_code=refusal.status)
        else:
            answer = await go_on(request)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer
