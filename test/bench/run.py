#!/usr/bin/env python3
"""Measure piramid against pgvector in the same PostgreSQL.

    run.py [--quick] [--sections build,query,...] [--out DIR] [--state DIR] DATASET...

Both extensions must be installed in the PostgreSQL of PG_CONFIG (the script
"run" beside this file sees to that). A cluster of its own is made in a
temporary directory and removed at the end; with --state it is kept, and the
next run goes on where this one ended. For every data set three files are
written: NAME.md, NAME.json and NAME.svg. README.md says what is measured and
how to read it.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
import traceback

from cluster import Cluster
from dataset import Dataset
from report import write
from sections import EXTENSIONS, SECTIONS, Bench

QUICK = {"rounds": 2, "seconds": 2, "queries": 300, "insert_rows": 400, "ef": [10, 20, 40, 80, 160], "vacuum_ef": [40],
         "build_timeout": 600}
USUAL = {"rounds": 3, "seconds": 4, "queries": 0, "insert_rows": 1000, "ef": [10, 20, 40, 80, 160, 320],
         "vacuum_ef": [40, 160], "build_timeout": 7200}


def output(*command):
    """What a program prints, or nothing if it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def first_match(path, key):
    try:
        with open(path, encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), "")
    except OSError:
        return ""


def environment(cluster, options):
    """Everything a reader needs to know to judge the numbers."""
    available = dict(cluster.sql("postgres", "SELECT name, default_version FROM pg_available_extensions;"))
    for extension in EXTENSIONS.values():
        if extension not in available:
            sys.exit("run.py: the extension %s is not installed in this PostgreSQL" % extension)
    memory = int((first_match("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 1048576
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "piramid": "%s, commit %s" % (available["piramid"], options.commit),
        "pgvector": available["vector"],
        "server": cluster.value("postgres", "SELECT version()"),
        "machine": "%s, %d cores, %.0f GiB, %s %s" % (
            first_match("/proc/cpuinfo", "model name") or platform.machine(), os.cpu_count(), memory,
            platform.system(), platform.release()),
        "index": "m=%d, ef_construction=%d%s" % (
            options.m, options.ef_construction,
            "; piramid: " + options.piramid_options if options.piramid_options else ""),
        "queries": "the 10 nearest, prepared; synchronous_commit=%s for inserts" % options.synchronous_commit,
    }


def shared_buffers(data):
    """Room for the tables and indexes of both, twice; at most 40 % of memory."""
    wanted = 6 * len(data.base) * (4 * data.dim + 800)
    limit = 0.4 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return "%dMB" % (max(256 << 20, min(wanted, limit)) // 1048576)


def earlier(path, result):
    """Results of an earlier run that may be continued: same data, server and
    options of the index. Otherwise the new ones begin empty."""
    try:
        with open(path, encoding="utf-8") as file:
            old = json.load(file)
    except FileNotFoundError:
        return
    for part in ("data", "settings"):
        if old[part] != result[part]:
            sys.exit("run.py: %s was measured with other %s: choose another --out or remove it" % (path, part))
    for part in ("pgvector", "server", "machine", "index", "queries"):
        if old["environment"][part] != result["environment"][part]:
            sys.exit("run.py: %s was measured with another %s: choose another --out or remove it" % (path, part))
    for part in ("rows", "curves", "sections", "notes"):
        result[part] = old[part]


def measure(folder, options):
    """All sections of one data set; False if one of them failed."""
    data = Dataset(folder)
    settings = {"shared_buffers": options.shared_buffers or shared_buffers(data), "max_wal_size": "16GB",
                "checkpoint_timeout": "1h", "autovacuum": "off", "jit": "off", "max_parallel_workers_per_gather": "0",
                "max_parallel_maintenance_workers": "0"}
    settings.update(one.split("=", 1) for one in options.set)
    stem = os.path.join(options.out, data.name)
    failed = False
    cluster = Cluster(options.bindir, settings, os.path.join(options.state, data.name) if options.state else None)
    try:
        result = {"environment": environment(cluster, options), "settings": dict(settings), "data": data.meta,
                  "options": {key: value for key, value in vars(options).items()
                              if key not in ("data", "out", "state", "pg_config", "bindir")},
                  "rows": [], "curves": [], "sections": [], "notes": []}
        if options.state:
            earlier(stem + ".json", result)
        for name, value in result["environment"].items():
            print("%s: %s" % (name, value))
        options.prewarm = cluster.value(
            "postgres", "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_prewarm'") == "1"
        bench = Bench(cluster, data, options, result)
        done = {one["name"] for one in result["sections"] if one["complete"] and one["commit"] == options.commit}
        wanted = options.sections or [name for name in SECTIONS if name not in done]
        bench.prepare(build="build" not in wanted)
        for section in sorted({*wanted, "size"}, key=SECTIONS.index):
            try:
                bench.section(section)
            except Exception:  # the others may tell something all the same
                traceback.print_exc()
                failed = True
            finally:
                names = write(result, stem)
        print("written: %s" % " ".join(names))
    finally:
        cluster.close()
    return not failed


def numbers(text):
    return [int(one) for one in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="directories, as dataset.py describes them")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs; for a look, not for publication")
    parser.add_argument("--sections", default="", help="of %s (all; with --state those not measured yet with this commit)"
                        % ",".join(SECTIONS))
    parser.add_argument("--out", default="build/bench/results", help="where results go (%(default)s)")
    parser.add_argument("--pg-config", default=os.environ.get("PG_CONFIG", "pg_config"))
    parser.add_argument("--commit", default="", help="of piramid, if git cannot say it here")
    parser.add_argument("--ef", type=numbers, help="values of hnsw.ef_search (10,20,40,80,160,320)")
    parser.add_argument("--clients", type=numbers, default=[1, 2], help="the first in section query, others in section clients (1,2)")
    parser.add_argument("--rounds", type=int, help="runs of each point, of which the median counts (3)")
    parser.add_argument("--seconds", type=int, help="of each pgbench run (4)")
    parser.add_argument("--queries", type=int, help="for recall; 0 for all (0)")
    parser.add_argument("--insert-rows", type=int, help="in each pass (1000)")
    parser.add_argument("--vacuum-ef", type=numbers, help="ef_search for recall after VACUUM (40,160)")
    parser.add_argument("--build-rounds", type=int, default=1)
    parser.add_argument("--build-timeout", type=int, help="seconds after which a build or VACUUM is given up (7200)")
    parser.add_argument("--give-up", type=float, default=0, metavar="TIMES",
                        help="give pgvector's builds and VACUUM up after this many times piramid's; 0 for never (0)")
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=64)
    parser.add_argument("--piramid-options", default="", help="further options of piramid's index: 'bits = 8'")
    parser.add_argument("--synchronous-commit", default="off", choices=("on", "off"), help="for inserts (off)")
    parser.add_argument("--shared-buffers", default="", help="in place of what suits the data")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the server")
    parser.add_argument("--state", help="a directory: keep the clusters there, and go on with what they and --out hold")
    options = parser.parse_args()
    # the cluster is removed then, too
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    options.sections = [one for one in options.sections.split(",") if one]
    for section in options.sections:
        if section not in SECTIONS:
            parser.error("unknown section %s; there are: %s" % (section, ", ".join(SECTIONS)))
    for name, value in (QUICK if options.quick else USUAL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.insert_rows -= options.insert_rows % 8
    options.bindir = output(options.pg_config, "--bindir")
    if not options.bindir:
        parser.error("%s does not run: set PG_CONFIG" % options.pg_config)
    options.commit = options.commit or output(
        "git", "-C", os.path.dirname(os.path.abspath(__file__)), "describe", "--always", "--dirty") or "unknown"
    os.makedirs(options.out, exist_ok=True)
    right = [measure(folder, options) for folder in options.data]
    sys.exit(0 if all(right) else 1)


if __name__ == "__main__":
    main()
