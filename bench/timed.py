"""Times one command: `python -I -S timed.py [--until-connected] [--or-ended] -- COMMAND …`; prints what it took.

A process of its own, with nothing imported: what the kernel tells of a child's peak memory is never less than what its
parent had. With `--until-connected` the time ends when the command first connects to the port that it finds in
`TIMED_PORT` (which `{port}` in its environment stands for), and the command is killed then. With `--or-ended` it
may also have ended before, in whatever way.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

_WITHIN = 60.0
_MOMENT = 0.005


def main(arguments: list[str]) -> None:
    """Run it once."""
    cut = arguments.index("--")
    command = arguments[cut + 1 :]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        environment = {name: value.replace("{port}", port) for name, value in os.environ.items()}
        began = time.perf_counter()
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            output = b""
            if "--until-connected" in arguments[:cut]:
                while not _connected(listener, process, began, patient="--or-ended" not in arguments[:cut]):
                    pass
                seconds = time.perf_counter() - began
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)  # Popen's own would take its figures from one that has ended
            else:
                assert process.stdout is not None
                output = process.stdout.read()
                seconds = 0.0
            _, status, usage = os.wait4(process.pid, 0)
            seconds = seconds or time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode > 0 and "--or-ended" not in arguments[:cut]:
        raise SystemExit(f"{command}: exit code {process.returncode}\n{output.decode(errors='replace')}")
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
