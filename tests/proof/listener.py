"""A bare TCP server for what the scripted one cannot do: read nothing, speak no HTTP."""

import contextlib
import socket
import threading

BASE = "http://127.0.0.1"


@contextlib.contextmanager
def listening(talk, **options):
    """Let `talk` have each connection, in a thread of its own; the address of the server."""
    over = threading.Event()
    held = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for option, value in options.items():
            listener.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
        listener.settimeout(0.05)

        def serve():
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    held.append(listener.accept()[0])
                    threading.Thread(target=quietly, args=[talk, held[-1]], daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"{BASE}:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()
            for each in held:
                each.close()


def quietly(talk, line):
    """The client may leave in the middle of anything."""
    with contextlib.suppress(OSError):
        talk(line)


@contextlib.contextmanager
def black_hole(host="127.0.0.1", port=0):
    """A port that takes no connection and refuses none: its queue is full. The port's number."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            one = held.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
