"""The main function of the fork server, which has TensorFlow imported and forks trial processes.

It imports the modules that trials need, uses no device, and forks on request. So a trial process starts in
milliseconds, while importing TensorFlow takes seconds: 40 ms in place of 7.7 s (scripts/benchmark_shortcuts.py). The
server is the parent process of all trial processes, so it gets their exit statuses. It ends the processes that a trial
has left, and then passes on the trial's status. When the process that started the server dies or sends SIGTERM, the
server kills all trial processes and ends.

Run as `python -c "from ... import main; main()" SOCKET_FD MODULE ...`. A request is nine bytes on the socket. Either
b"f" and zeros with three file descriptors: the trial's connection, a pipe to which the server writes the process id and
later the exit status, or minus the number of an error, and the trial's working directory. Or b"k" and the id of a
process to kill. Or b"e" and zeros to end all processes; the answer, `ENDED`, comes when all have ended.
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

REQUEST = struct.Struct("!cq")  # b"f", b"k" or b"e", process id
ENDED = b"e"
NUMBER = struct.Struct("!q")  # a process id or an exit status
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve requests until the other side closes the socket."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # garbage collection would take a third of the imports' time and free nothing
    for module in sys.argv[2:]:
        # If a module cannot be imported, the trial that needs it reports that.
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.freeze()  # else a collection in a child would copy every memory page that it shares with the others
    adopt_orphans()
    children: dict[int, int] = {}  # process id -> the pipe for its exit status
    told_to_end: list[int] = []
    deaths, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Before this line SIGTERM simply ends this process, which has no children yet.
    signal.signal(signal.SIGTERM, lambda number, _: told_to_end.append(number))
    news = select.poll()  # `select` cannot handle descriptors above 1023
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
    message, descriptors, _, _ = socket.recv_fds(requests, REQUEST.size, 3)
    if len(message) < REQUEST.size:
        return False
    kind, pid = REQUEST.unpack(message)
    if kind == b"k":
        if pid in children:
            _kill(pid)
        return True
    if kind == b"e":
        for pid in children:
            _kill(pid)
        while children:
            os.waitid(os.P_PID, next(iter(children)), os.WEXITED | os.WNOWAIT)
            _reap(children)
        requests.sendall(ENDED)
        return True
    connection, status, folder = descriptors
    server = os.getpid()
    try:
        pid = _fork()
    except OSError as error:  # too many processes, or no memory: the other trials go on
        _tell(status, -(error.errno or 1))
        for descriptor in descriptors:
            os.close(descriptor)
        return True
    if pid == 0:
        for descriptor in (requests.fileno(), status, *inherited, *children.values()):
            os.close(descriptor)
        requests.detach()
        _become_trial(connection, server, folder)
    os.close(connection)
    os.close(folder)
    children[pid] = status
    _tell(status, pid)
    return True


def _fork() -> int:
    with warnings.catch_warnings():
        # reason: Python 3.12 warns of the idle threads that TensorFlow's import starts. They hold no locks here, and
        # the child does not use them.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _become_trial(connection: int, server: int, folder: int) -> None:
    gc.enable()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    lead_session()
    if sys.platform == "linux":
        # If anybody kills the server, the kernel kills its children, too.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)  # the server was killed before the line above
    try:
        os.fchdir(folder)
    except OSError as error:
        print(f"The working directory of the run cannot be entered: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os.close(folder)
    from autotune.running.processes.child import serve_one

    serve_one(connection)


def _kill(pid: int) -> None:
    """Kill a child and send SIGTERM to its group. It must not be awaited yet, so that its id is its own."""
    os.kill(pid, signal.SIGKILL)
    signal_group(pid, signal.SIGTERM)


def _reap(children: dict[int, int]) -> None:
    ended = {}
    for pid in list(children):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            signal_group(pid, signal.SIGTERM)  # before waitpid, after which another process may get its id
            _, status = os.waitpid(pid, 0)
            ended[children.pop(pid)] = os.waitstatus_to_exitcode(status)
    if ended:
        end_orphans(children)
    for descriptor, status in ended.items():
        _tell(descriptor, status)
        os.close(descriptor)


def _tell(descriptor: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the other side has closed the pipe
        os.write(descriptor, NUMBER.pack(number))
