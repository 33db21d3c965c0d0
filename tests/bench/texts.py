"""Texts to tokenise, made from the files of this repository: prose and code."""

import pathlib
import re

FOLDERS = ("app", "core", "kernels", "lessons", "tests")
COMMENT = re.compile(r"^\s*// ?(.*)$")


def sources(root):
    found = []
    for folder in FOLDERS:
        found += [p for suffix in ("cpp", "h") for p in (root / folder).rglob("*." + suffix)]
    return [path.read_text(encoding="utf-8") for path in sorted(found)]


def markdown(root):
    found = [*root.glob("*.md"), *(p for folder in FOLDERS for p in (root / folder).rglob("*.md"))]
    return [path.read_text(encoding="utf-8") for path in sorted(found)]


def comments(source):
    """The comments that stand on lines of their own: neighbouring lines are one paragraph."""
    paragraphs, lines = [], []
    for line in [*source.splitlines(), ""]:
        match = COMMENT.match(line)
        if match:
            lines.append(match.group(1))
        elif lines:
            paragraphs.append(" ".join(lines))
            lines = []
    return "\n\n".join(paragraphs) + "\n"


def fill(parts, size):
    """The parts one after the other, again and again, to `size` bytes; and how many bytes there are before it repeats."""
    text = "\n".join(parts)
    distinct = len(text.encode())
    text = text * (size // distinct + 1)
    return text.encode()[:size].decode(errors="ignore"), min(distinct, size)


def write_texts(root, folder, size):
    """{"prose": path, "code": path} in `folder`, and {"prose": distinct bytes, …}."""
    root, paths, distinct = pathlib.Path(root), {}, {}
    code = sources(root)
    prose = [*markdown(root), (root / "LICENSE").read_text(encoding="utf-8"), *map(comments, code)]
    for name, parts in (("prose", prose), ("code", code)):
        text, distinct[name] = fill(parts, size)
        paths[name] = str(pathlib.Path(folder) / (name + ".txt"))
        pathlib.Path(paths[name]).write_text(text, encoding="utf-8")
    return paths, distinct
