"""The process that has TensorFlow imported and gives birth to trial processes.

It imports what trials need, touches no device, and forks on request: a trial process starts in milliseconds where
importing TensorFlow takes seconds. It is the parent of all trial processes, so it knows how each of them ended, and
ends what it has left behind before it says so. When the process that started it dies, or tells it to end (SIGTERM), it
kills them all and ends.

Run as `python -c "from ... import main; main()" SOCKET_FD MODULE ...`. A request is nine bytes on the socket: b"f" and
zeros with two file descriptors (the trial's connection, and a pipe to which the process id and later the exit status
are written, or minus the number of an error), or b"k" and a process id to kill.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import struct
import sys
import warnings

from autotune.running.processes.descendants import adopt_orphans, end_orphans, lead_session, signal_group

REQUEST = struct.Struct("!cq")  # b"f" or b"k", process id
NUMBER = struct.Struct("!q")  # a process id or an exit status
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve requests until the socket is closed by the other side."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # collections take a third of the imports' time and free nothing; what is asked for leaves no cycles
    for module in sys.argv[2:]:
        # A module that cannot be imported is reported by the trial that needs it.
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.freeze()  # a collection in a child would touch, and so copy, every page that it shares with the others
    adopt_orphans()
    children: dict[int, int] = {}  # process id -> where its exit status is awaited
    told_to_end: list[int] = []
    deaths, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(
        signal.SIGTERM, lambda number, _: told_to_end.append(number)
    )  # until here it ends this process, which has no others
    news = select.poll()  # `select` knows no descriptor above 1023
    for descriptor in (requests.fileno(), deaths):
        news.register(descriptor, select.POLLIN)
    try:
        while not told_to_end:
            ready = [descriptor for descriptor, _ in news.poll()]
            if deaths in ready:
                os.read(deaths, 4096)
                _reap(children)
            if requests.fileno() in ready and not _serve(requests, children, inherited=(deaths, wakeup)):
                return
    finally:
        for pid in children:
            _kill(pid)
        for pid in children:
            os.waitpid(pid, 0)
        end_orphans(())


def _serve(requests: socket.socket, children: dict[int, int], inherited: tuple[int, int]) -> bool:
    message, descriptors, _, _ = socket.recv_fds(requests, REQUEST.size, 2)
    if len(message) < REQUEST.size:
        return False
    kind, pid = REQUEST.unpack(message)
    if kind == b"k":
        if pid in children:
            _kill(pid)
        return True
    connection, status = descriptors
    server = os.getpid()
    try:
        pid = _fork()
    except OSError as error:  # no more processes, or no memory for one: the others go on
        _tell(status, -(error.errno or 1))
        os.close(connection)
        os.close(status)
        return True
    if pid == 0:
        for descriptor in (requests.fileno(), status, *inherited, *children.values()):
            os.close(descriptor)
        requests.detach()
        _become_trial(connection, server)
    os.close(connection)
    children[pid] = status
    _tell(status, pid)
    return True


def _fork() -> int:
    with warnings.catch_warnings():
        # reason: TensorFlow's import leaves idle threads behind, of which Python 3.12 warns; no lock of theirs is
        # held here, and none of their work is used in the child.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _become_trial(connection: int, server: int) -> None:
    gc.enable()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    lead_session()
    if sys.platform == "linux":
        # The server is never killed without its children, whoever does it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)  # it was killed just before
    from autotune.running.processes.child import serve_one

    serve_one(connection)


def _kill(pid: int) -> None:
    """Kill a child that has not been awaited yet, so that the number is its own, and ask its group to end."""
    os.kill(pid, signal.SIGKILL)
    signal_group(pid, signal.SIGTERM)


def _reap(children: dict[int, int]) -> None:
    ended = {}
    for pid in list(children):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            signal_group(pid, signal.SIGTERM)  # before it is awaited: then another process may have its number
            _, status = os.waitpid(pid, 0)
            ended[children.pop(pid)] = os.waitstatus_to_exitcode(status)
    if ended:
        end_orphans(children)
    for descriptor, status in ended.items():
        _tell(descriptor, status)
        os.close(descriptor)


def _tell(descriptor: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the other side has lost interest
        os.write(descriptor, NUMBER.pack(number))
