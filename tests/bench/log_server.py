"""Takes lines of a log by TCP and writes them to a file, as the server that an operator sends logs of HAProxy to.

Usage: log_server.py FILE. Prints where it is ready, and ends by a signal.
"""

import socket
import sys

with socket.create_server(("127.0.0.1", 0)) as listener, open(sys.argv[1], "ab") as file:  # noqa: PTH123 - few imports
    print(f"log server: ready on {listener.getsockname()[1]}", flush=True)  # noqa: T201 - its answer
    while True:
        client, _ = listener.accept()
        while data := client.recv(1 << 20):
            file.write(data)
            file.flush()
