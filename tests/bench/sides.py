"""The programs that are asked in turns, and what a process needs from its start to its first token."""

import json
import os
import pathlib
import resource
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PAUSE = 0.03  # seconds between two sides: the threads of the one have gone to sleep before the other begins
PROMPT = "The capital of France is"


class Side:
    """A process that stays open: one request a line in JSON, answered likewise (see bench_engine.cpp).

    options: more of what subprocess.Popen takes.
    """

    def __init__(self, *command, **options):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)

    def ask(self, **request):
        time.sleep(PAUSE)
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args[0]} ended at the request {request}")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def ours(setup, threads):
    return Side(str(setup.tests / "bench_engine"), setup.model, str(threads))


def llama_cpp(setup, threads):
    return Side(sys.executable, str(HERE / "peer_llama_cpp.py"), setup.model, str(threads))


def tokenisers(setup):
    return Side(sys.executable, str(HERE / "peer_tokenise.py"), setup.model)


def limits(setup, threads):
    """What the machine can do at this moment, in bytes or operations a second: {"read": {1: …, 2: …}, "int8": …}."""
    command = [setup.tests / "bench_limits", *map(str, threads)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {kind: {int(t): rate for t, rate in entry["per_s"].items()} for kind, entry in found.items()}


def first_token(command):
    """(seconds from the start of the process to the first byte that it writes, its greatest resident memory in bytes).

    A child counts the memory of the process that it was forked from as its own until it has become another program: this
    one must stay small, so nothing large is imported before the plot.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    first = os.read(process.stdout.fileno(), 1)
    seconds = time.perf_counter() - begun
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode != 0 or not first:
        raise RuntimeError(f"{command[0]} failed with exit code {process.returncode}")
    if usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        raise RuntimeError("this process is larger than the one whose memory it measures")
    return seconds, usage.ru_maxrss * 1024


def our_first_token(setup, threads):
    return [str(setup.program), "generate", "-m", setup.model, "-p", PROMPT, "-n", "1", "--temp", "0", "-t", str(threads)]


def peer_first_token(setup, threads):
    return [str(setup.first_token_peer), setup.model, str(threads), PROMPT]


def window(setup):
    command = [setup.tests / "bench_window", "--samples", str(setup.samples), "--json"]
    environment = {**os.environ, "GLASSBOX_MODEL": setup.model}
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
