"""A listener at 127.0.0.1 whose connections are each served in a thread of their own.

    acceptor = Acceptor(serve, backlog=512)     # serve(connection) is called for each, and closes it
    acceptor.port
    acceptor.close()                            # no more connections
    acceptor.join(60)                           # and the ends of those that there were
"""
import socket
import threading


class Acceptor:
    def __init__(self, serve, backlog):
        self.serve, self.threads = serve, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.serve, args=(connection,), daemon=True))
            self.threads[-1].start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def join(self, seconds):
        for thread in self.threads:
            thread.join(seconds)
            assert not thread.is_alive(), "a connection of the backend was not closed"
