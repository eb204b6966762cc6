"""What the judges have in common: a plug-sim that runs, its control interface, a broker, waiting."""

import asyncio
import contextlib
import json
import pathlib
import socket
import tempfile

import aiohttp

# Far above what a loaded machine needs.
LIMIT = 60


@contextlib.asynccontextmanager
async def plug(program: str, *arguments: str):
    """A plug, as the line that plug-sim prints of it; `kill` ends it without a farewell."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), LIMIT)
        told = json.loads(line)
        told["kill"] = process.kill
        yield told
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def control(told: dict, path: str, body: dict) -> dict:
    """Posts to the control interface and gives the state afterwards."""
    async with aiohttp.ClientSession() as session:
        async with session.post(told["control"] + path, json=body) as reply:
            answer = await reply.json()
            assert reply.status == 200, answer
            return answer


async def state(told: dict) -> dict:
    async with aiohttp.ClientSession() as session:
        async with session.get(told["control"] + "/state") as reply:
            return await reply.json()


@contextlib.asynccontextmanager
async def broker():
    """A mosquitto that takes everybody; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "mosquitto.conf")
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
        process = await asyncio.create_subprocess_exec("mosquitto", "-c", str(config))
        try:
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                assert process.returncode is None, "mosquitto ended"
                await asyncio.sleep(0.05)
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Seen:
    """What callbacks were told, to be awaited."""

    def __init__(self) -> None:
        self.values = []
        self._changed = asyncio.Event()

    def __call__(self, value, **_kwargs) -> None:
        self.values.append(value)
        self._changed.set()

    async def later(self, value, **_kwargs) -> None:
        self(value)

    async def until(self, accept, what: str) -> None:
        async def wait() -> None:
            while not any(accept(value) for value in self.values):
                self._changed.clear()
                await self._changed.wait()

        try:
            await asyncio.wait_for(wait(), LIMIT)
        except TimeoutError:
            raise AssertionError(f"{what}: only {self.values} was told") from None
