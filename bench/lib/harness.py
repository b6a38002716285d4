# SPDX-License-Identifier: BSD-3-Clause
"""What the comparing scripts share: programs, servers, medians, tables."""
import atexit
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

KILLED = 128 + signal.SIGKILL
# The kernel's out-of-memory killer takes the peer at tight limits, now and
# then; it gets another chance, and the reader is told.
PEER_TRIES = 3
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def say(text):
    print(text, file=sys.stderr, flush=True)


def die(text, status=2):
    say(f"{os.path.basename(sys.argv[0])}: {text}")
    sys.exit(status)


class Workplace:
    """Where programs lie and results go; ends whatever it started."""

    def __init__(self, bin_dir, out_dir, name):
        self.bin = bin_dir or os.environ.get("FAR_BIN") or os.path.join(
            ROOT, "build", "release", "bin")
        out = out_dir or os.path.join(os.path.dirname(self.bin), "bench")
        os.makedirs(out, exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self.out_path = os.path.join(out, f"{name}-{stamp}.jsonl")
        self.tmp = tempfile.mkdtemp(prefix="far-bench.")
        self.children = []
        atexit.register(self.close)
        for sig in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, lambda number, frame: sys.exit(128 + number))

    def program(self, name):
        path = os.path.join(self.bin, name)
        if not os.access(path, os.X_OK):
            die(f"{path} is not there; fix: make release")
        return path

    def start(self, argv, **kwargs):
        # Its own session: an interrupt of ours does not reach it, we end it.
        child = subprocess.Popen(argv, start_new_session=True, **kwargs)
        self.children.append(child)
        return child

    def stop(self, child, seconds=10):
        """TERM, then KILL; Return: its status."""
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if child in self.children:
            self.children.remove(child)
        return child.returncode

    def close(self):
        for child in list(self.children):
            self.stop(child)
        shutil.rmtree(self.tmp, ignore_errors=True)

    def run(self, argv, seconds):
        """Run to its end; Return: (status, objects on its output)."""
        child = self.start(argv, stdout=subprocess.PIPE, text=True)
        try:
            text, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            say(f"no end within {seconds} s: {' '.join(argv)}")
            self.stop(child)
            return -1, []
        self.children.remove(child)
        return child.returncode, [json.loads(x) for x in text.splitlines()]

    def record(self, results):
        with open(self.out_path, "a", encoding="utf-8") as out:
            for result in results:
                out.write(json.dumps(result) + "\n")

    def fard(self, size):
        """Start a pool; Return: its spec, once it listens."""
        log_path = os.path.join(self.tmp, "fard.log")
        with open(log_path, "w", encoding="utf-8") as log:
            child = self.start([self.program("fard"), "--listen",
                                "tcp://127.0.0.1:0", "--size", size],
                               stderr=log)
        end = time.monotonic() + 10
        while time.monotonic() < end and child.poll() is None:
            with open(log_path, encoding="utf-8") as log:
                found = re.search(r"tcp://127\.0\.0\.1:([1-9]\d*)", log.read())
            if found:
                return found.group(0)
            time.sleep(0.02)
        with open(log_path, encoding="utf-8") as log:
            die("fard did not start: " + log.read())

    def peers(self, text):
        """The spec of each of comma-separated names: zram, a spec, or tcp (a
        pool is started), with +OPTION behind it; no zram where it cannot be.
        """
        specs = {}
        for name in text.split(","):
            spec = name.split("+")[0]
            if spec == "tcp":
                specs[name] = self.fard("4G")
            elif spec != "zram" or can_zram():
                specs[name] = spec
        return specs


def rotated(names, number):
    """Nobody always comes first, or always after the same one."""
    first = number % len(names)
    return names[first:] + names[:first]


def can_zram():
    """Kernel swap can be set up here: say why not, once."""
    if os.geteuid() != 0:
        say("zram: SKIPPED, needs root; no ratios to it")
        return False
    if not os.path.exists("/sys/class/zram-control") and \
            not os.path.exists("/sys/block/zram0"):
        say("zram: SKIPPED, this kernel has none; no ratios to it")
        return False
    return True


def warn_busy():
    load = os.getloadavg()[0]
    if load > 0.5:
        say(f"warning: load {load:.2f} before the start: something else "
            "runs, figures will be wrong; fix: wait until it is done")


def median(values):
    return statistics.median(values) if values else None


def spread(values):
    """How far the runs lie apart, as a share of their median."""
    if len(values) < 2:
        return 0.0
    return (max(values) - min(values)) / statistics.median(values)


def number(value):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}"


def ratio(value, base):
    if value is None or not base:
        return ""
    return f" ({value / base:.2f}x)"


def run_main(function):
    """Call it; an interrupt ends quietly, what was started is ended."""
    try:
        sys.exit(function())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def table(head, rows):
    """Print: first column to the left, the others to the right."""
    cells = [head] + rows
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        print("  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))).rstrip())
