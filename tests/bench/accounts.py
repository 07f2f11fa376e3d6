"""What ws_peer's two reports say together: the accounts of both ends of the same WebSockets."""


def rows(report):
    """Its connections, as dicts."""
    return [dict(zip(report["columns"], row)) for row in report["rows"]]


class Pairs:
    """Both ends of each WebSocket, by its number."""

    def __init__(self, clients, backend):
        self.clients = {row["id"]: row for row in rows(clients)}
        self.backend = {row["id"]: row for row in rows(backend)}
        assert self.clients.keys() == self.backend.keys()

    def __iter__(self):
        return ((self.clients[i], self.backend[i]) for i in self.clients)

    def lost_up(self):
        """Messages that clients sent whole and the backend has not got."""
        return sum(client["sent"] - backend["received"] for client, backend in self)

    def lost_down(self):
        """Messages that the backend sent whole and clients have not got."""
        return sum(backend["sent"] - client["received"] for client, backend in self)

    def finished_before_end(self):
        """Of the messages that a client did not get: by how many ms each was finished before the Close, or else the end,
        reached the client. Those of a client beyond the remembered ones count as the oldest of these."""
        early = []
        for client, backend in self:
            lost, finished = backend["sent"] - client["received"], backend["finished_ns"]
            ended = client["closed_ns"] or client["ended_ns"]
            early += [(ended - finished[max(0, len(finished) - lost + i)]) / 1e6 for i in range(lost)]
        return early
