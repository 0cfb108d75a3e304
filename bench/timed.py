"""Times one command whole: `python -I -S timed.py [--until-connected] -- COMMAND …`; prints what it took.

A process of its own, with nothing imported: what the kernel tells of a child's peak memory is never less than what its
parent had. With `--until-connected` the time ends when the command first connects to the port that it finds in
`TIMED_PORT` (which `{port}` in its environment stands for), and the command is killed then.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

_WITHIN = 60.0


def main(arguments: list[str]) -> None:
    """Run it once."""
    cut = arguments.index("--")
    command = arguments[cut + 1 :]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_WITHIN)
        port = str(listener.getsockname()[1])
        environment = {name: value.replace("{port}", port) for name, value in os.environ.items()}
        began = time.perf_counter()
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            if "--until-connected" in arguments[:cut]:
                listener.accept()[0].close()
                seconds = time.perf_counter() - began
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                output = b""
            else:
                assert process.stdout is not None
                output = process.stdout.read()
                seconds = 0.0
            _, status, usage = os.wait4(process.pid, 0)
            seconds = seconds or time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode > 0:
        raise SystemExit(f"{command}: exit code {process.returncode}\n{output.decode(errors='replace')}")
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "kib": usage.ru_maxrss}))


if __name__ == "__main__":
    main(sys.argv[1:])
