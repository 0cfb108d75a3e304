"""Times one command: `python -I -S timed.py PORT [--until-connected] [--or-ended] -- COMMAND …`; prints what it took.

A process of its own, with nothing imported: what the kernel tells of a child's peak memory is never less than what its
parent had. With `--until-connected` the time ends when the command first connects to the port, at which all that its
settings name stands, and the command is killed then. With `--or-ended` it may also have ended before, in whatever way.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

_WITHIN = 60.0
_MOMENT = 0.005


def main(arguments: list[str]) -> None:
    """Run it once."""
    cut = arguments.index("--")
    command = arguments[cut + 1 :]
    # A file, not a pipe: nobody reads while we wait, and a command that writes more than a pipe holds would never end.
    with socket.create_server(("127.0.0.1", int(arguments[0]))) as listener, tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT) as process:
            if "--until-connected" in arguments[:cut]:
                while not _connected(listener, process, began, patient="--or-ended" not in arguments[:cut]):
                    pass
                seconds = time.perf_counter() - began
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)  # Popen's own would take its figures from one that has ended
            else:
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
                seconds = time.perf_counter() - began
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode > 0 and "--or-ended" not in arguments[:cut]:
        raise SystemExit(f"{command}: exit code {process.returncode}\n{said}")
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "kib": usage.ru_maxrss}))


def _connected(listener: socket.socket, process: "subprocess.Popen[bytes]", began: float, *, patient: bool) -> bool:
    """Wait a moment; tell whether it has connected, or ended where that is fine.

    Raises:
        TimeoutError: it does neither.

    """
    listener.settimeout(_WITHIN if patient else _MOMENT)
    try:
        listener.accept()[0].close()
    except TimeoutError:
        if patient or time.perf_counter() - began > _WITHIN:
            raise
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
