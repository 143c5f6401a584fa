"""The log of the lab's flanneld."""

import datetime as dt
import os
import sys


class Log:
    """Lines in the format of flannel's logger."""

    def line(self, level: str, where: str, text: str) -> None:
        now = dt.datetime.now(dt.UTC).strftime("%m%d %H:%M:%S.%f")
        sys.stderr.write(f"{level}{now} {os.getpid():7d} {where}:1] {text}\n")
        sys.stderr.flush()

    def info(self, where: str, text: str) -> None:
        self.line("I", where, text)

    def warning(self, where: str, text: str) -> None:
        self.line("W", where, text)

    def fault(self, where: str, text: str) -> None:
        self.line("E", where, text)
