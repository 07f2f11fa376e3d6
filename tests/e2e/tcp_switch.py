"""An address whose traffic goes to one of several ports: a Service that sends new connections to the pod that is ready.

    switch = Switch(port_of_a)
    switch.to(port_of_b)      # from now on; what is connected stays where it is
    switch.taken              # how many connections each port got
    switch.close()
"""
import asyncio
import collections
import threading


class Switch:
    def __init__(self, target):
        self.target, self.taken = target, collections.Counter()
        self.loop, ready = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        assert ready.wait(30)

    def to(self, target):
        self.target = target

    def close(self):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(30)

    def _run(self, ready):
        self.loop.run_until_complete(self._serve(ready))
        self.loop.close()

    async def _serve(self, ready):
        self.stop = asyncio.Event()
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self.stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _take(self, reader, writer):
        target = self.target
        self.taken[target] += 1
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(self._pass(reader, to_writer), self._pass(to_reader, writer))
        except OSError:
            writer.transport.abort()
            to_writer.transport.abort()
        finally:
            writer.close()
            to_writer.close()

    @staticmethod
    async def _pass(reader, writer):
        """Bytes as they come; the end of one side is the end of the other, which may still speak."""
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
