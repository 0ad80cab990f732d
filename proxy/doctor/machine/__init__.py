"""What the doctor checks of the machine: Python, OpenSSL, kernel, clock, disk, ports, files."""
