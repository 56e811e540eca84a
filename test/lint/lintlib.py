"""What the checks share: the tree, TAP, comments out of C, the SQL script."""

import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

HOST_FREE = ("distance", "quant", "cluster")


def path(*parts):
    return os.path.join(TOP, *parts)


def read(name):
    with open(path(name), encoding="utf-8") as file:
        return file.read()


def sources(*suffixes):
    """Every file below src/ with one of the suffixes, relative to the top."""
    found = []
    for folder, dirs, files in os.walk(path("src")):
        dirs.sort()
        for name in sorted(files):
            if name.endswith(suffixes):
                found.append(os.path.relpath(os.path.join(folder, name), TOP))
    return found


def module_of(name):
    """src/hnsw/x.c -> hnsw; src/piramid.c -> piramid.c."""
    parts = name.split("/")
    return parts[1] if len(parts) > 2 else "piramid.c"


def is_template(name):
    """A header that is included to be expanded, and does not stand alone: it
    is called x_template.h, or says at its head whose part it is."""
    head = re.sub(r"\s*\n \*\s*", " ", read(name).split("*/")[0])
    return name.endswith("_template.h") or bool(re.search(r"[Ii]ncluded by \w+\.c|a part of \w+\.c", head))


def blank(match):
    """As many line ends as the match had, so that line numbers stay right."""
    return "\n" * match.group(0).count("\n") or " "


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.S)


def pg_config(*args):
    program = os.environ.get("PG_CONFIG", "pg_config")
    return subprocess.run([program, *args], check=True, capture_output=True, text=True).stdout.strip()


def compile_flags():
    return ["-I" + path("src"), "-isystem", pg_config("--includedir-server"), "-D_GNU_SOURCE"]


class Tap:
    """One test for each rule; the findings of a rule are notes below it."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def rule(self, name, findings):
        self.count += 1
        findings = list(findings)
        print("%sok %d - %s" % ("not " if findings else "", self.count, name))
        for finding in findings:
            print("#   " + finding)
        self.failed += bool(findings)

    def skip(self, name, reason):
        self.count += 1
        print("ok %d - %s # SKIP %s" % (self.count, name, reason))

    def done(self):
        print("1..%d" % self.count)
        sys.exit(1 if self.failed else 0)


# ------------------------------------------------------------------------
# The extension script
# ------------------------------------------------------------------------


class Statement:
    """One SQL command: its text without comments, line, and '--|' lines."""

    def __init__(self, text, line, doc):
        self.text = re.sub(r"\s+", " ", text).strip()
        self.line = line
        self.doc = doc


def sql_statements(name):
    """Split the script; quotes and dollar quotes hide semicolons."""
    text = read(name)
    statements = []
    doc = []
    body = ""
    line = 1
    start = None
    token = re.compile(r"--[^\n]*\n|\\[^\n]*\n|'(?:[^']|'')*'|(\$\w*\$).*?\1|;|\n|[^-\\'$;\n]+|.", re.S)
    for match in token.finditer(text):
        piece = match.group(0)
        if piece.startswith("--"):
            if piece.startswith("--|"):
                doc.append(piece[3:].strip())
            elif not body.strip() and not doc:
                pass
        elif piece.startswith("\\"):
            pass
        elif piece == ";":
            if body.strip():
                statements.append(Statement(body, start, doc))
            body, start, doc = "", None, []
        else:
            if start is None and piece.strip():
                start = line
            body += piece
        line += piece.count("\n")
    if body.strip():
        statements.append(Statement(body, start, doc))
    return statements


def extension_script():
    version = re.search(r"default_version *= *'([^']*)'", read("piramid.control")).group(1)
    return "piramid--%s.sql" % version
