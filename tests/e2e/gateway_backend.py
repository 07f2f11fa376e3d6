"""A backend for the gateway's tests: HTTP and WebSocket by hand, every goodbye told on stdout as a JSON line.

    gateway_backend.py PORT

GET /live upgrades: "hello" at once, then an echo; the text "trickle" is answered by one frame that takes a second.
GET /slow takes a second; every other request is answered with its path.
"""
import asyncio
import base64
import hashlib
import json
import signal
import struct
import sys

open_sockets = 0


def tell(**fields):
    print(json.dumps(fields), flush=True)


def frame(opcode, payload):
    length = len(payload)
    head = bytes([0x80 | opcode, length]) if length < 126 else struct.pack(">BBH", 0x80 | opcode, 126, length)
    return head + payload


async def read_frame(reader):
    first, second = await reader.readexactly(2)
    length = second & 127
    if length == 126:
        length, = struct.unpack(">H", await reader.readexactly(2))
    key = await reader.readexactly(4)
    payload = await reader.readexactly(length)
    return first & 15, bytes(b ^ key[i % 4] for i, b in enumerate(payload))


async def serve_websocket(reader, writer, headers):
    global open_sockets
    accept = base64.b64encode(hashlib.sha1(
        (headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode() + frame(1, b"hello"))
    open_sockets += 1
    code = 1006
    try:
        while True:
            opcode, payload = await read_frame(reader)
            if opcode == 8:
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                writer.write(frame(8, payload[:2]))
                break
            if payload == b"trickle":
                for part in (b"\x81\x04", b"tr", b"ic"):
                    writer.write(part)
                    await asyncio.sleep(0.5)
            else:
                writer.write(frame(opcode, payload))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    open_sockets -= 1
    tell(msg="goodbye", code=code)


async def serve(reader, writer):
    try:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            path = lines[0].split()[1]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
            if path == "/live":
                await serve_websocket(reader, writer, headers)
                break
            if path == "/slow":
                tell(msg="slow begins")
                await asyncio.sleep(1)
            body = path.encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=512)
    await stop.wait()
    tell(msg="sigterm", open=open_sockets)


asyncio.run(main())
