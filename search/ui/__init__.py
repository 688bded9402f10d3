"""The page of `sparsweep ui` and the API that it stands on. Reads use the stores, never a running sweep's driver.

guard      who may ask: the server's own names, the page's own origin, a token beyond loopback
cloud      one sweep's points as columns, brought up to date from its records
reading    sweeps, points, layers                  GET  /api/sweeps...
live       what changes, as server-sent events     GET  /api/sweeps/NAME/events
running    begin, stop, go on, submit              POST /api/sweeps...
models     versions, pick, aliases, exports              /api/models...
app        all of it as one application; schemas are its types
"""
