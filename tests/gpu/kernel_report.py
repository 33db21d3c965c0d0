#!/usr/bin/env python3
"""What the CUDA kernels take of a multiprocessor, of the compiler's report, against the record tests/gpu/kernels.md.

  kernel_report.py check LOG...   compares; a line for each fault, exit status 1 if there is one
  kernel_report.py write LOG...   writes the record

LOG: what nvcc -Xptxas=-v has said of one file of kernels, for all architectures (build/release/kernels/cuda_*.o.log). Names
are demangled by c++filt. GLASSBOX_NVCC_VERSION is the compiler's, "13.0".
"""
import os
import re
import subprocess
import sys

RECORD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kernels.md")
RENEW = "If that is meant, make the record anew: GLASSBOX_RENEW=1 tests/run cuda. Say in the commit what it bought."
HEAD = """# What the CUDA kernels take

Of a multiprocessor, as the compiler reports it: registers a thread / bytes of static shared memory a block, and behind that a
stack frame and spilled bytes where there are any. `tests/run cuda` compares what it has compiled with this table, which
`GLASSBOX_RENEW=1 tests/run cuda` makes anew.

Compiled with nvcc {version}.

"""


def occupancy_step(registers):
    """Of 32 threads' registers, which are given out in eights, how many fit into a multiprocessor's 65,536."""
    return min(64, 65536 // (32 * max(8, (registers + 7) // 8 * 8)))


def short_names(mangled):
    """Without namespaces and arguments: "attend_rows<2>"; what is equal then gets a number."""
    plain = subprocess.run(["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True).stdout.split("\n")
    names, taken = {}, set()
    for symbol, name in sorted(zip(mangled, plain), key=lambda pair: pair[1]):
        name = name.replace("(anonymous namespace)::", "")
        depth, end = 0, len(name)
        for i, c in enumerate(name):  # the arguments begin at the first bracket outside of <…>
            depth += (c == "<") - (c == ">")
            if c == "(" and depth == 0:
                end = i
                break
        name = name[:end].removeprefix("void ")
        name = re.sub(r"\((?:glassbox::)?[\w:]+\)(\d+)", r"\1", name)  # (glassbox::DType)1
        name = re.sub(r"\b(?:\w+::)+", "", name)
        short, n = name, 1
        while short in taken:
            n += 1
            short = f"{name} #{n}"
        taken.add(short)
        names[symbol] = short
    return names


def read_logs(paths):
    """{file: {kernel: {architecture: (registers, shared, stack, spills)}}}"""
    found = {}
    for path in paths:
        file = re.sub(r"^cuda_|\.o\.log$", "", os.path.basename(path)) + ".cu"
        kernels, here, stack, spills = {}, None, 0, 0
        for line in open(path, encoding="utf-8"):
            if match := re.search(r"Compiling entry function '(\w+)' for 'sm_(\w+)'", line):
                here, stack, spills = match.groups(), 0, 0
            elif match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
                stack, spills = int(match[1]), int(match[2]) + int(match[3])
            elif here and (match := re.search(r"Used (\d+) registers", line)):
                shared = re.search(r"(\d+) bytes smem", line)
                kernels.setdefault(here[0], {})[here[1]] = (int(match[1]), int(shared[1]) if shared else 0, stack, spills)
                here = None
        names = short_names(list(kernels))
        found[file] = {names[symbol]: values for symbol, values in kernels.items()}
    return found


def cell(values):
    registers, shared, stack, spills = values
    return f"{registers}/{shared}" + (f" stack {stack}" if stack else "") + (f" spills {spills}" if spills else "")


def write(found, version):
    architectures = sorted({a for kernels in found.values() for v in kernels.values() for a in v}, key=int)
    with open(RECORD, "w", encoding="utf-8") as out:
        out.write(HEAD.format(version=version))
        for file, kernels in sorted(found.items()):
            if not kernels:
                continue
            out.write(f"| {file} | " + " | ".join("sm_" + a for a in architectures) + " |\n")
            out.write("|---" * (len(architectures) + 1) + "|\n")
            for name, values in sorted(kernels.items()):
                out.write(f"| {name} | " + " | ".join(cell(values[a]) if a in values else "" for a in architectures) + " |\n")
            out.write("\n")


def read_record():
    record, version, file, architectures = {}, "", None, []
    for line in open(RECORD, encoding="utf-8"):
        if match := re.search(r"Compiled with nvcc ([\w.]+)\.$", line):
            version = match[1]
        cells = [c.strip() for c in line.strip().strip("|").split("|")] if line.startswith("| ") else []
        if cells and cells[0].endswith(".cu"):
            file, architectures = cells[0], [c.removeprefix("sm_") for c in cells[1:]]
            record[file] = {}
        elif cells:
            values = {}
            for architecture, text in zip(architectures, cells[1:]):
                if match := re.fullmatch(r"(\d+)/(\d+)(?: stack (\d+))?(?: spills (\d+))?", text):
                    values[architecture] = tuple(int(n or 0) for n in match.groups())
            record[file][cells[0]] = values
    return record, version


def compare(found, record, same_compiler):
    """Faults, in words. Another compiler gives out registers in another way: then only spills are faults."""
    faults = []
    for file in sorted(record.keys() | found.keys()):
        kernels, known = found.get(file, {}), record.get(file, {})
        for name in sorted(known.keys() | kernels.keys()):
            if name not in kernels:
                faults.append(f"{file}: the kernel {name} is not in the compiler's report")
                continue
            if name not in known:
                faults.append(f"{file}: the kernel {name} is not in the record")
            for architecture in sorted(known.get(name, {}).keys() | kernels[name].keys(), key=int):
                where = f"{file}: {name} for sm_{architecture}"
                now, then = kernels[name].get(architecture), known.get(name, {}).get(architecture)
                if now is None:
                    faults.append(f"{where} is not in the compiler's report")
                    continue
                if now[3] > 0:
                    faults.append(f"{where} spills {now[3]} bytes")
                if then is None or not same_compiler:
                    continue
                if now[2] > then[2]:
                    faults.append(f"{where} has a stack frame of {now[2]} bytes, before {then[2]}")
                if now[0] > then[0] * 1.1 or occupancy_step(now[0]) < occupancy_step(then[0]):
                    faults.append(f"{where} takes {now[0]} registers, before {then[0]}")
                if now[1] > then[1] * 1.1:
                    faults.append(f"{where} takes {now[1]} bytes of shared memory, before {then[1]}")
    return faults


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("check", "write"):
        sys.exit(__doc__)
    found, version = read_logs(sys.argv[2:]), os.environ.get("GLASSBOX_NVCC_VERSION", "")
    if sys.argv[1] == "write":
        return write(found, version)
    record, recorded_with = read_record()
    same = version == recorded_with
    if not same:
        print(f"compiled with nvcc {version}, the record with {recorded_with}: only spills and missing kernels are compared")
    faults = compare(found, record, same)
    for fault in faults:
        print(f"FAILED: {fault}")
    count = sum(len(kernels) for kernels in found.values())
    worst = max((v[0] for kernels in found.values() for values in kernels.values() for v in values.values()), default=0)
    print(f"{count} kernels in {len(found)} files, at most {worst} registers a thread")
    if faults:
        print(RENEW)
        sys.exit(1)


main()
