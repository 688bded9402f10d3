"""What changes, told as it does: one watcher a sweep, however many look on, and nothing asked of the driver."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

from sparsweep.search.ui.cloud import Cloud, as_event
from sparsweep.search.ui.reading import NotThereError, Reader

EVERY_S = 1.0
"""So often the stores of a watched sweep are looked at."""
ALIVE_S = 15.0
"""So often a line goes out although nothing has changed, so that nobody in between hangs up."""
LONGEST_QUEUE = 100
"""A viewer that takes nothing for so many events is let go; its browser asks anew."""


@dataclass
class Watch:
    """A sweep that somebody looks at."""

    name: str
    viewers: "set[asyncio.Queue[bytes | None]]" = field(default_factory=set)
    task: "asyncio.Task[None] | None" = None


@dataclass
class Live:
    """All that is being watched."""

    reader: Reader
    every_s: float = EVERY_S
    _watches: dict[str, Watch] = field(default_factory=dict)

    async def events(self, name: str, version: int) -> AsyncIterator[bytes]:
        """Server-sent events of a sweep from now on.

        Args:
            version: of the points that the viewer has; of another one it is told to read them all.
        """
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(LONGEST_QUEUE)
        watch = self._watches.setdefault(name, Watch(name))
        watch.viewers.add(queue)
        if watch.task is None:
            watch.task = asyncio.create_task(self._look(watch))
        try:
            cloud = await asyncio.to_thread(self.reader.cloud, name)
            if cloud.version != version:
                yield as_event("reload", {"version": cloud.version})
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), ALIVE_S)
                except TimeoutError:
                    event = b": still here\n\n"
                if event is None:
                    return
                yield event
        except (NotThereError, ValueError) as fault:
            yield as_event("gone", {"text": str(fault)})
        finally:
            watch.viewers.discard(queue)
            if not watch.viewers and watch.task is not None:
                watch.task.cancel()
                self._watches.pop(name, None)

    async def _look(self, watch: Watch) -> None:
        """Looks at the stores until nobody looks on; what it tells is made once for all viewers."""
        known: tuple[int, int] | None = None
        state = ""
        while True:
            try:
                cloud = await asyncio.to_thread(self.reader.cloud, watch.name)
                now = (await asyncio.to_thread(self.reader.state, cloud.folder)).model_dump_json()
            except (NotThereError, ValueError) as fault:
                self._tell(watch, as_event("gone", {"text": str(fault)}))
                self._tell(watch, None)
                return
            except OSError as fault:  # a shared folder that is away: the last picture stays, marked stale
                self._tell(watch, as_event("stale", {"text": str(fault)}))
                state = ""  # told again when the store is back
                await asyncio.sleep(self.every_s)
                continue
            if known is not None and cloud.version != known[0]:
                self._tell(watch, await asyncio.to_thread(told_of, cloud, known))
            if now != state:
                self._tell(watch, f"event: state\ndata: {now}\n\n".encode())
            known, state = (cloud.version, cloud.count), now
            await asyncio.sleep(self.every_s)

    def end(self) -> None:
        """Lets all viewers go: a server that is to end waits for none of them."""
        for watch in self._watches.values():
            self._tell(watch, None)

    def _tell(self, watch: Watch, event: bytes | None) -> None:
        for queue in list(watch.viewers):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                watch.viewers.discard(queue)
                with suppress(asyncio.QueueEmpty):
                    queue.get_nowait()
                queue.put_nowait(None)


def told_of(cloud: Cloud, known: tuple[int, int]) -> bytes:
    """The rows that are new; where earlier rows changed, word to read them all."""
    version, count = known
    if cloud.rewritten > version or cloud.count < count:
        return as_event("reload", {"version": cloud.version})
    return as_event("points", cloud.payload(since=count))
