"""The web server, Granian (https://github.com/emmett-framework/granian)."""

import os
import signal
import socket
from contextlib import closing
from threading import Lock
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces, RuntimeModes

from ..config import ServingConfig
from ..utils import UserError

STOP_SECONDS = 8  # for requests in flight; `docker stop` gives 10, then kills
ACCESS_LOG = (  # %r: a line end in a path does not begin a new line
    "%(time)s %(addr)s %(method)s %(path)r %(status)d %(dt_ms).1f ms "
    "%(header{x-request-id})s"
)


class Server(Granian):  # type: ignore[misc, valid-type]
    """Granian that also stops when two signals come at once, as from uv and systemd."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop. A second signal would wait for a lock that its own thread holds."""
        if os.getpid() != self.pid:  # a forked worker has this handler until it serves
            os._exit(0)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        super().signal_handler_interrupt(*args, **kwargs)


def make_server(target: str, config: ServingConfig) -> Server:
    """Return the server of an application, such as "app:create_app".

    Raises UserError if it can't listen on the address of the config.
    """
    metrics_port = config.metrics_port or 0
    return Server(
        target,
        factory=True,
        interface=Interfaces.WSGI,
        address=_find_address(config.host, config.port),
        port=config.port,
        workers=config.workers,
        websockets=False,
        http=HTTPModes.http1,
        runtime_mode=RuntimeModes.st,
        blocking_threads=2,  # one computes, the other may wait for a slow client
        workers_kill_timeout=STOP_SECONDS,
        respawn_failed_workers=True,
        log_access=config.access_log,
        log_access_format=ACCESS_LOG,
        metrics_enabled=metrics_port > 0,
        metrics_address=_find_address(config.host, metrics_port),
        metrics_port=metrics_port,
    )


def _find_address(host: str, port: int) -> str:
    """Return the numeric address of a host. Raises UserError if its port is taken."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        socket.create_server(address[:2], family=family).close()
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"can't listen on {host}:{port}: {error}; try another --host or --port"
        ) from error

    return str(address[0])


def one_at_a_time(application: Any, max_bytes: int) -> Any:
    """Wrap a WSGI application: read the whole body of each request, then let one go on.

    Two threads that compute only wait for each other, which takes longer. A client
    that sends slowly keeps nobody waiting. The whole answer goes back to the server,
    which sends it faster than an iterator.
    """
    lock = Lock()

    def answer(environ: dict, start_response: Any) -> Any:
        environ["body"] = environ["wsgi.input"].read(max_bytes + 1)
        with lock, closing(application(environ, start_response)) as response:
            return [b"".join(response)]

    return answer
