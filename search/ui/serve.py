"""`sparsweep ui`: the page on this machine until Ctrl-C."""

import argparse
import asyncio
import os
import socket
import sys
import threading
from types import FrameType

from sparsweep.search.home import Home
from sparsweep.search.ui.guard import Guard, is_loopback

VARIABLE = "SPARSWEEP_UI_TOKEN"
"""Where a token of one's own is taken from."""
HIGHEST_PORT = 65535
PATIENCE_S = 10
"""So long a request that is at work when the server is to end may go on."""


def serve(options: argparse.Namespace) -> int:
    """Serves the page. Raises ValueError where the address is not to be had."""
    home = Home.find()
    uri = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or home.tracking_uri
    guard = Guard.of(options.host, os.environ.get(VARIABLE) or None)
    listening = _listen(options.host, options.port)
    import uvicorn

    from sparsweep.search.ui.app import app_of

    app = app_of(home, uri, guard)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=PATIENCE_S
    )

    class Server(uvicorn.Server):
        """Ends although pages are open, which listen for as long as the server lets them."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            asyncio.get_running_loop().call_soon_threadsafe(app.state.live.end)
            super().handle_exit(sig, frame)

    server = Server(config)
    print(f"sparsweep ui on {_address(options.host, listening.getsockname()[1], guard)}", flush=True)
    if not is_loopback(options.host):
        print("whoever has this address can start sweeps, which run code: keep it to yourself", file=sys.stderr)
    threading.Thread(target=_warm_up, daemon=True).start()
    server.run(sockets=[listening])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= HIGHEST_PORT:
        raise ValueError(f"--port {port} is none: give 0 (a free one) to {HIGHEST_PORT}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # so that whoever is told the address waits instead of being refused
    except OSError as fault:
        listening.close()
        raise ValueError(
            f"--host {host} --port {port} cannot be listened on ({fault.strerror or fault}): give another --port, or 0"
        ) from fault
    return listening


def _address(host: str, port: int, guard: Guard) -> str:
    shown = f"[{host}]" if ":" in host else host
    token = f"?token={guard.token}" if guard.token is not None else ""
    return f"http://{shown}:{port}/{token}"


def _warm_up() -> None:
    """Does what the first visitor would wait for: packs plotly, and imports what the first click on a point needs."""
    from sparsweep.search.ui.app import plotly_js

    plotly_js(packed=True)
    import sparsweep.trainables.compact.architecture
    import sparsweep.trainables.measures.macs  # noqa: F401
