"""What is measured, section by section, always for both extensions in turn."""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import time

import numpy as np

from dataset import write_copy
from report import TARGETS, qps_at

# in the order of running; the first ones are told most often
SECTIONS = ("build", "size", "parallel", "query", "cache", "oscache", "insert", "vacuum5", "memory", "clients", "library",
            "memory1", "vacuum50", "churn")
EXTENSIONS = {"piramid": "piramid", "pgvector": "vector"}  # name: as CREATE EXTENSION has it
K = 10
INDEX = "items_v_idx"


def turns(number):
    """The two, each time the other first."""
    names = list(EXTENSIONS)
    return names if number % 2 == 0 else names[::-1]


class Bench:
    """One data set in one cluster: database base_X for each extension X, with
    the tables items and questions and the index; work_X are copies of it, for
    sections that write. Comments on database and index tell a later run, in a
    cluster that is kept, whether they are what it would make."""

    def __init__(self, cluster, data, options, result):
        self.cluster = cluster
        self.data = data
        self.options = options
        self.result = result
        self.query = "ORDER BY v %s (SELECT v FROM questions WHERE id = %%s) LIMIT %d" % (data.operator(), K)
        self.nqueries = min(options.queries or len(data.queries), len(data.queries))
        # enough for either to hold its whole graph: the vectors and 1200 bytes a row
        self.ample = int((64 << 20) + 1.3 * len(data.base) * (4 * data.dim + 1200))
        self.index_bytes = {}
        self.stale = list(EXTENSIONS)
        self.recalls = {}
        self.mark = hashlib.sha256(repr(sorted(data.meta.items())).encode() + data.truth.tobytes()).hexdigest()[:16]

    # --------------------------------------------------------------------
    # Keeping results
    # --------------------------------------------------------------------

    def row(self, section, measure, unit, better, values):
        """One line of the table; values by extension."""
        entry = {"section": section, "measure": measure, "unit": unit, "better": better}
        entry.update(values)
        self.result["rows"].append(entry)
        print("  %-10s %-52s %s" % (section, measure, "  ".join(
            "%s %s" % (name, "%.6g" % values[name] if isinstance(values[name], (int, float)) else values[name])
            for name in EXTENSIONS)), flush=True)

    def note(self, section, text):
        entry = {"section": section, "text": text}
        if entry not in self.result["notes"]:
            self.result["notes"].append(entry)

    def section(self, name):
        """Run one section in place of what an earlier run knows of it; load, time,
        date and commit are recorded, also if it fails."""
        print("%s: %s" % (self.data.name, name), flush=True)
        for part in ("rows", "curves", "notes"):
            self.result[part] = [one for one in self.result[part] if one["section"] != name]
        self.result["sections"] = [one for one in self.result["sections"] if one["name"] != name]
        entry = {"name": name, "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
                 "commit": self.options.commit, "rounds": self.options.rounds, "round_seconds": self.options.seconds,
                 "load_before": os.getloadavg()[0], "complete": False}
        begin = time.monotonic()
        try:
            getattr(self, "section_" + name)()
            entry["complete"] = True
        finally:
            entry.update(load_after=os.getloadavg()[0], seconds=round(time.monotonic() - begin, 1))
            self.result["sections"].append(entry)
            self.drop_copies()

    # --------------------------------------------------------------------
    # Tools
    # --------------------------------------------------------------------

    def settings(self, ef):
        return ["hnsw.ef_search=%d" % ef, "enable_seqscan=off"]

    def copied(self, name):
        """A fresh copy of base_X, warm; its name."""
        work = "work_" + name
        version = int(self.cluster.value("postgres", "SHOW server_version_num"))
        strategy = " STRATEGY file_copy" if version >= 150000 else ""
        for attempt in range(20):  # until the last session of the template has gone
            try:
                self.cluster.sql("postgres", "DROP DATABASE IF EXISTS %s;\nCREATE DATABASE %s TEMPLATE base_%s%s;\n"
                                 % (work, work, name, strategy))
                break
            except RuntimeError:
                if attempt == 19:
                    raise
                time.sleep(0.5)
        self.warm(work)
        return work

    def drop_copies(self):
        for name in EXTENSIONS:
            self.cluster.sql("postgres", "DROP DATABASE IF EXISTS work_%s WITH (FORCE);\n" % name)

    def warm(self, database):
        self.cluster.sql(database, """
            SELECT sum(pg_prewarm(oid::regclass)) FROM pg_class
            WHERE oid IN (SELECT 'items'::regclass UNION SELECT 'questions'::regclass
                          UNION SELECT reltoastrelid FROM pg_class WHERE relname = 'items'
                          UNION SELECT indexrelid FROM pg_index WHERE indrelid = 'items'::regclass)
              AND relkind IN ('r', 't', 'i');""" if self.options.prewarm else "SELECT count(v) FROM items;")

    def recall(self, database, ef, truth=None):
        """Share of the exact K nearest that are found, over all queries."""
        truth = [list(row[:K]) for row in self.data.truth[:self.nqueries]] if truth is None else truth
        script = "".join("SET %s = %s;\n" % tuple(one.split("=")) for one in self.settings(ef))
        script += "PREPARE r(int) AS SELECT $1, id FROM items %s;\n" % (self.query % "$1")
        plan, _ = self.cluster.run(database, script + "EXPLAIN (COSTS OFF) EXECUTE r(0);\n")
        if not any("Index Scan using " in one[0] and "on items" in one[0] for one in plan):
            raise RuntimeError("%s does not use the index: %s" % (database, plan))
        script += "".join("EXECUTE r(%d);\n" % number for number in range(len(truth)))
        found = [set() for _ in truth]
        for number, item in self.cluster.sql(database, script):
            found[int(number)].add(int(item))
        hits = sum(len(found[number].intersection(right)) for number, right in enumerate(truth))
        return hits / sum(len(right) for right in truth)

    def survivors_truth(self, dead):
        """The exact K nearest among the rows that are left, where the data
        set's list is long enough to tell; queries without are left out."""
        truth = []
        for row in self.data.truth[:self.nqueries]:
            left = [int(one) for one in row if not dead[one]][:K]
            truth.append(left if len(left) == K else [])
        return truth

    def with_options(self, name):
        options = ["m=%d" % self.options.m, "ef_construction=%d" % self.options.ef_construction]
        if name == "piramid" and self.options.piramid_options:
            options.append(self.options.piramid_options)
        return ", ".join(options)

    def limited(self, database, command, before, other=None):
        """Seconds and notices of a command; "> S" and nothing if it was given up
        after S seconds: --build-timeout, or --give-up times the 'other'
        extension's seconds."""
        limit = self.options.build_timeout
        if self.options.give_up and isinstance(other, float):
            limit = max(1, min(limit, round(self.options.give_up * other)))
        try:
            return self.cluster.timed(database, command, "%sSET statement_timeout = '%ds';\n" % (before, limit))
        except RuntimeError as error:
            if "statement timeout" not in str(error):
                raise
            return "> %d" % limit, ""

    def create_index(self, name, database, index, workers, memory, other=None):
        """Build; seconds (or a text, see limited()), WAL bytes, notices."""
        before = "SET maintenance_work_mem = '%dkB';\nSET max_parallel_maintenance_workers = %d;\n" % (
            memory // 1024, workers)
        self.cluster.sql(database, "DROP INDEX IF EXISTS %s;\nCHECKPOINT;\n" % index)
        start = self.cluster.wal_position()
        seconds, notices = self.limited(database, "CREATE INDEX %s ON items USING hnsw (v %s) WITH (%s)" % (
            index, self.data.opclass(), self.with_options(name)), before, other)
        return seconds, self.cluster.wal_position() - start, notices

    def base_index(self, name):
        """Build the index of base_X, without workers and with all the memory it
        can use; seconds, WAL bytes."""
        seconds, wal, notices = self.create_index(name, "base_" + name, INDEX, 0, self.ample)
        if isinstance(seconds, str):
            raise RuntimeError("%s needs %s s for the index; --build-timeout allows more" % (name, seconds))
        if "no longer fits" in notices:
            self.note("build", "%s: the graph did not fit into the ample memory: %s" % (name, notices.strip()))
        self.cluster.sql("base_" + name, "COMMENT ON INDEX %s IS '%s';\n" % (INDEX, self.index_mark(name)))
        return seconds, wal

    def made_by(self, name):
        """What tells one database base_X from another: data and extension."""
        return "%s; %s" % (self.mark, self.options.commit if name == "piramid" else self.result["environment"]["pgvector"])

    def index_mark(self, name):
        return "%s; %s" % (self.made_by(name), self.with_options(name).replace("'", ""))

    def prepare(self, build):
        """Load the tables that are not there; so with the indexes, if asked."""
        there = dict(self.cluster.sql("postgres", "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database;\n"))
        self.stale = [name for name in EXTENSIONS if there.get("base_" + name) != self.made_by(name)]
        if self.stale:
            self.section("load")
        for name in EXTENSIONS:
            found = self.cluster.sql("base_" + name, "DROP INDEX IF EXISTS items_other;\n"
                                     "SELECT obj_description(to_regclass('%s'), 'pg_class');\n" % INDEX)
            if build and found != [[self.index_mark(name)]]:
                print("%s: index of %s" % (self.data.name, name), flush=True)
                self.base_index(name)

    def size(self, database, index=INDEX):
        return int(self.cluster.value(database, "SELECT pg_relation_size('%s')" % index))

    # --------------------------------------------------------------------
    # Loading and building
    # --------------------------------------------------------------------

    def section_load(self):
        """The databases with their tables."""
        files = {part: os.path.join(self.cluster.folder, part + ".copy") for part in ("base", "queries")}
        write_copy(files["base"], self.data.base)
        write_copy(files["queries"], self.data.queries)
        seconds = {}
        for name in self.stale:
            database = "base_" + name
            self.cluster.sql("postgres", "DROP DATABASE IF EXISTS %s;\nCREATE DATABASE %s;\n" % (database, database))
            self.cluster.sql(database, "CREATE EXTENSION %s;\n" % EXTENSIONS[name])
            if self.options.prewarm:
                self.cluster.sql(database, "CREATE EXTENSION pg_prewarm;\n")
            # questions are kept in line, so that reading one costs little
            plain = "ALTER TABLE questions ALTER v SET STORAGE PLAIN;\n" if self.data.dim <= 1900 else ""
            self.cluster.sql(database, "CREATE TABLE items (id int PRIMARY KEY, v vector(%d));\n"
                             "CREATE TABLE questions (id int PRIMARY KEY, v vector(%d));\n%s"
                             % (self.data.dim, self.data.dim, plain))
            seconds[name], _ = self.cluster.timed(
                database, "COPY items (id, v) FROM '%s' (FORMAT binary)" % files["base"])
            self.cluster.sql(database, "COPY questions (id, v) FROM '%s' (FORMAT binary);\n"
                             "VACUUM (ANALYZE) items;\nVACUUM (ANALYZE) questions;\n"
                             "COMMENT ON DATABASE %s IS '%s';\n" % (files["queries"], database, self.made_by(name)))
        for file in files.values():
            os.unlink(file)
        if len(seconds) == len(EXTENSIONS):
            self.row("load", "COPY into the table without the index", "s", "lower", seconds)

    def section_build(self):
        """The index that every later section uses."""
        times = {name: [] for name in EXTENSIONS}
        wal = {}
        for number in range(self.options.build_rounds):
            for name in turns(number):
                seconds, wal[name] = self.base_index(name)
                times[name].append(seconds)
        self.row("build", "no workers, ample memory", "s", "lower",
                 {name: statistics.median(times[name]) for name in EXTENSIONS})
        self.row("build", "WAL", "bytes", "lower", wal)

    def section_size(self):
        self.index_bytes = {name: self.size("base_" + name) for name in EXTENSIONS}
        self.row("size", "index size", "bytes", "lower", dict(self.index_bytes))

    def other_builds(self, section, measure, workers, memory):
        times = {name: [] for name in EXTENSIONS}
        for _ in range(self.options.build_rounds):
            other = None
            for name in EXTENSIONS:
                seconds, _, notices = self.create_index(name, "base_" + name, "items_other", workers, memory, other)
                other = seconds
                times[name].append(seconds)
                self.cluster.sql("base_" + name, "DROP INDEX IF EXISTS items_other;\n")
                if "no longer fits" in notices:
                    self.note(section, "%s, %s: %s" % (name, measure, notices.strip().splitlines()[0]))
        self.row(section, measure, "s", "lower", {
            name: next((one for one in times[name] if isinstance(one, str)), None) or statistics.median(times[name])
            for name in EXTENSIONS})

    def section_parallel(self):
        self.other_builds("parallel", "2 workers, ample memory", 2, self.ample)

    def little_memory(self, section, workers):
        tenth = max(self.index_bytes["pgvector"] // 10, 1 << 20)
        self.other_builds(section, "%s workers, memory of %.1f MiB" % (workers or "no", tenth / 1048576), workers, tenth)

    def section_memory(self):
        self.little_memory("memory", 2)

    def section_memory1(self):
        self.little_memory("memory1", 0)

    # --------------------------------------------------------------------
    # Queries
    # --------------------------------------------------------------------

    def curves(self, section, efs, clients_list):
        recalls = {}
        efs = list(efs)
        for ef in efs:
            for name in EXTENSIONS:
                # the same index: another cache answers no differently
                if (name, ef) not in self.recalls:
                    self.recalls[name, ef] = self.recall("base_" + name, ef)
                recalls[name, ef] = self.recalls[name, ef]
            # go on where the last target is not reached yet; pgvector ends at 1000
            if ef == efs[-1] and ef < 1000 and min(recalls[name, ef] for name in EXTENSIONS) < TARGETS[-1]:
                efs.append(min(2 * ef, 1000))
        script = "\\set i random(0, %d)\nSELECT id FROM items %s;\n" % (len(self.data.queries) - 1, self.query % ":i")
        for name in EXTENSIONS:  # what the cache holds after a while of this
            self.cluster.pgbench("base_" + name, script, 1, seconds=self.options.seconds,
                                 settings=self.settings(efs[len(efs) // 2]))
        for clients in clients_list:
            runs = {key: [] for key in recalls}
            for number in range(self.options.rounds):
                for ef in efs:
                    for name in turns(number):
                        qps, _ = self.cluster.pgbench("base_" + name, script, clients, seconds=self.options.seconds,
                                                      settings=self.settings(ef))
                        runs[name, ef].append(qps)
            points = {name: [] for name in EXTENSIONS}
            for (name, ef), qps in runs.items():
                points[name].append((recalls[name, ef], statistics.median(qps)))
                self.result["curves"].append({"section": section, "extension": name, "clients": clients, "ef_search": ef,
                                              "recall": recalls[name, ef], "qps": statistics.median(qps), "runs": qps})
            what = "%d client%s" % (clients, "s" * (clients > 1))
            for ef in efs:
                if clients == self.options.clients[0]:
                    self.row(section, "recall@%d at ef_search=%d" % (K, ef), "recall", "higher",
                             {name: recalls[name, ef] for name in EXTENSIONS})
                self.row(section, "ef_search=%d, %s" % (ef, what), "queries/s", "higher",
                         {name: statistics.median(runs[name, ef]) for name in EXTENSIONS})
            for target in TARGETS:
                values = {name: qps_at(points[name], target) for name in EXTENSIONS}
                if None not in values.values():
                    self.row(section, "**at recall %.2f**, %s" % (target, what), "queries/s", "higher", values)

    def section_query(self):
        for name in EXTENSIONS:
            self.warm("base_" + name)
        self.curves("query", self.options.ef, self.options.clients[:1])

    def section_clients(self):
        """The same with more clients."""
        for name in EXTENSIONS:
            self.warm("base_" + name)
        self.curves("clients", self.options.ef, self.options.clients[1:])

    def small_cache(self, section, text, **settings):
        """The curves with a cache that holds a third of pgvector's index."""
        usual = {name: self.cluster.settings.get(name) for name in ("shared_buffers", *settings)}
        small = max(self.index_bytes["pgvector"] // 3 // 1024, 1024)
        self.cluster.restart(shared_buffers="%dkB" % small, **settings)
        self.note(section, "Section %s: shared_buffers = %d kB; %s" % (section, small, text))
        try:
            self.curves(section, self.options.ef, self.options.clients[:1])
        finally:
            self.cluster.restart(**usual)
        for name in EXTENSIONS:
            self.warm("base_" + name)

    def section_cache(self):
        """A page that is not in the cache is read from storage."""
        if int(self.cluster.value("postgres", "SHOW server_version_num")) < 160000:
            raise RuntimeError("needs debug_io_direct, of PostgreSQL 16")
        self.small_cache("cache", "debug_io_direct = data: the operating system's cache is passed by.",
                         debug_io_direct="data")

    def section_oscache(self):
        """A page that is not in the cache is copied from that of the operating system."""
        self.small_cache("oscache", "the operating system's cache holds the files.")

    def compile_library(self):
        """The program that asks hnswlib and the server; None if it cannot be built here."""
        program = os.path.join(self.cluster.folder, "bench_memory")
        config = os.path.join(self.options.bindir, "pg_config")
        folders = [subprocess.run([config, what], capture_output=True, text=True, check=True).stdout.strip()
                   for what in ("--includedir", "--libdir")]
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench_memory.cpp")
        try:
            run = subprocess.run(
                [os.environ.get("CXX", "g++"), "-O3", "-march=native", "-I" + folders[0], "-I/usr/include/postgresql",
                 source, "-o", program, "-L" + folders[1], "-lpq"], capture_output=True, text=True, check=False)
        except OSError as error:
            return None, str(error)
        return (program, "") if run.returncode == 0 else (None, run.stderr)

    def section_library(self):
        """hnswlib in memory, one thread, and the same queries through libpq."""
        program, why = self.compile_library()
        if program is None:
            self.note("library", "Section library left out; it needs g++, libhnswlib-dev and libpq-dev: %s"
                      % (why.strip().splitlines() or ["no g++"])[0])
            return
        folder = os.path.join(self.cluster.folder, "library")
        os.makedirs(folder, exist_ok=True)
        queries = np.asarray(self.data.queries[:self.nqueries], "<f4")
        np.asarray(self.data.base, "<f4").tofile(os.path.join(folder, "base.f32"))
        queries.tofile(os.path.join(folder, "queries.f32"))
        truth = np.asarray(self.data.truth[:self.nqueries], "<i4")
        truth.tofile(os.path.join(folder, "gt.i32"))
        for name in EXTENSIONS:
            self.warm("base_" + name)
        points, runs = {}, {}
        try:
            run = subprocess.run(
                [program, folder, *map(str, (len(self.data.base), self.data.dim, len(queries), truth.shape[1])),
                 self.data.metric, str(self.options.m), str(self.options.ef_construction),
                 ",".join(map(str, self.options.ef)), str(self.options.seconds), str(self.options.rounds),
                 self.data.operator(), *("base_" + name for name in EXTENSIONS)],
                env=self.cluster.environment, capture_output=True, text=True, check=True)
        finally:
            shutil.rmtree(folder)
        for line in run.stdout.splitlines():
            one = json.loads(line)
            if one["what"] == "query":
                runs.setdefault((one["who"], one["ef"], one["recall"]), []).append(one)
        for (who, ef, recall), lines in runs.items():
            qps = statistics.median(one["qps"] for one in lines)
            points.setdefault(who, []).append((recall, qps))
            self.result["curves"].append({"section": "library", "extension": who.replace("base_", ""), "clients": 1,
                                          "ef_search": ef, "recall": recall, "qps": qps, "runs": lines})
        for target in TARGETS:
            library = qps_at(points["hnswlib"], target)
            values = {name: qps_at(points["base_" + name], target) for name in EXTENSIONS}
            if library is not None and None not in values.values():
                self.note("library", "hnswlib in memory, one thread, at recall %.2f: %.0f queries/s." % (target, library))
                self.row("library", "**at recall %.2f**, share of hnswlib's queries/s" % target, "of hnswlib", "higher",
                         {name: values[name] / library for name in EXTENSIONS})

    # --------------------------------------------------------------------
    # Writing
    # --------------------------------------------------------------------

    def section_insert(self):
        """Rows like those that are there: rows of base, moved by noise. In each
        round: a checkpoint, then 1 client twice, then 8 clients, then 8 with
        twice as many rows; the same with a table that has no vector index, for
        what the table itself costs."""
        rows, rounds = self.options.insert_rows, self.options.rounds
        random = np.random.default_rng(3)
        total = rows * (5 * rounds + 1)
        chosen = np.asarray(self.data.base[np.sort(random.integers(0, len(self.data.base), total))], np.float32)
        noise = random.standard_normal(chosen.shape, dtype=np.float32) * (0.3 * chosen.std(axis=0))
        file = os.path.join(self.cluster.folder, "stage.copy")
        write_copy(file, random.permutation(chosen + noise))
        databases = {}
        for name in EXTENSIONS:
            databases[name] = self.copied(name)
            self.cluster.sql(databases[name], "CREATE TABLE stage (id int PRIMARY KEY, v vector(%d));\n"
                             "COPY stage (id, v) FROM '%s' (FORMAT binary);\nVACUUM (ANALYZE) stage;\n"
                             "CREATE TABLE plain (id int PRIMARY KEY, v vector(%d));\n" % (self.data.dim, file, self.data.dim))
            self.cluster.sql(databases[name], "SELECT sum(length(v::text)) FROM stage;\n")
        os.unlink(file)
        seen = {}

        def insert(name, table, first, count, clients, what):
            each = count // clients
            script = "\\set n :n + 1\n\\set i %d + :client_id * %d + :n\n" % (first - 1, each)
            script += "INSERT INTO %s SELECT %d + id, v FROM stage WHERE id = :i;\n" % (table, 1000000000)
            start = self.cluster.wal_position()
            rate, times = self.cluster.pgbench(databases[name], script, clients, transactions=each, latencies=True,
                                               variables={"n": 0},
                                               settings=["synchronous_commit=%s" % self.options.synchronous_commit])
            wal = (self.cluster.wal_position() - start) / (each * clients)
            seen.setdefault((name, table, what), []).append((wal, rate, times))

        for number in range(rounds):
            for name in turns(number):
                for table in ("plain", "items"):
                    self.cluster.sql(databases[name], "CHECKPOINT;\n")
                    for step, (what, clients) in enumerate((("checkpoint", 1), ("later", 1), ("8", 8))):
                        insert(name, table, (5 * number + step) * rows, rows, clients, what)
                    insert(name, table, (5 * number + 3) * rows, 2 * rows, 8, "more")
        self.cluster.reload(full_page_writes="off")
        for name in EXTENSIONS:
            for table in ("plain", "items"):
                insert(name, table, 5 * rounds * rows, rows, 1, "no images")
        self.cluster.reload(full_page_writes="on")

        def median(name, table, what, field):
            return statistics.median(one[field] for one in seen[name, table, what])

        def both(function):
            return {name: function(name) for name in EXTENSIONS}

        # shares of the steps in a row's WAL
        for shares, words in (({"checkpoint": 1}, "first %d after a checkpoint" % rows),
                              ({"checkpoint": 0.2, "later": 0.2, "8": 0.2, "more": 0.4},
                               "first %d after a checkpoint" % (5 * rows)),
                              ({"later": 1}, "second %d" % rows), ({"no images": 1}, "without page images")):
            self.row("insert", "WAL per row beyond the table's, %s" % words, "bytes", "lower", both(
                lambda name, shares=shares: sum(share * (median(name, "items", what, 0) - median(name, "plain", what, 0))
                                                for what, share in shares.items())))
        for what, words in (("later", "1 client"), ("8", "8 clients")):
            self.row("insert", words, "rows/s", "higher",
                     both(lambda name, what=what: median(name, "items", what, 1)))
            for share in (50, 99):
                self.row("insert", "latency p%d, %s" % (share, words), "ms", "lower", both(
                    lambda name, what=what, share=share: float(np.percentile(
                        np.concatenate([one[2] for one in seen[name, "items", what]]), share))))
        self.row("insert", "1 client, table without the index", "rows/s", "higher",
                 both(lambda name: median(name, "plain", "later", 1)))

    def delete(self, database, numbers):
        script = "CREATE TEMPORARY TABLE dead (id int);\nCOPY dead FROM STDIN;\n%s\n\\.\nANALYZE dead;\n" % (
            "\n".join(str(one) for one in numbers))
        self.cluster.sql(database, script + "DELETE FROM items USING dead WHERE items.id = dead.id;\n")

    def vacuum(self, database, other=None):
        """Seconds (or a text, see limited()) and WAL bytes of a VACUUM without workers."""
        start = self.cluster.wal_position()
        seconds, _ = self.limited(
            database, "VACUUM (INDEX_CLEANUP ON, PARALLEL 0) items",
            "SET maintenance_work_mem = '%dkB';\n" % (self.ample // 1024), other)
        return seconds, self.cluster.wal_position() - start

    def vacuum_after(self, section, share, rebuild):
        dead = np.zeros(len(self.data.base), bool)
        dead[np.random.default_rng(11).permutation(len(dead))[:int(share * len(dead))]] = True
        truth = self.survivors_truth(dead)
        left = sum(1 for one in truth if one)
        if left < len(truth):
            self.note(section, "Section %s: recall over the %d queries whose neighbours are known." % (section, left))
        seen = {name: {} for name in EXTENSIONS}
        other = None
        for name in EXTENSIONS:
            mine = seen[name]
            database = self.copied(name)
            self.delete(database, np.flatnonzero(dead))
            mine["s"], mine["wal"] = self.vacuum(database, other)
            other = mine["s"]
            if isinstance(other, str):
                mine["wal"] = None  # that of a part tells nothing
            for ef in self.options.vacuum_ef:
                mine["recall", ef] = None if isinstance(other, str) else self.recall(database, ef, truth)
            if rebuild:
                mine["rebuild"], _ = self.cluster.timed(
                    database, "REINDEX INDEX %s" % INDEX,
                    "SET maintenance_work_mem = '%dkB';\nSET max_parallel_maintenance_workers = 0;\n"
                    % (self.ample // 1024))
                for ef in self.options.vacuum_ef:
                    mine["fresh", ef] = self.recall(database, ef, truth)

        def both(key):
            return {name: seen[name][key] for name in EXTENSIONS}

        percent = "%g %%" % (100 * share)
        self.row(section, "VACUUM after %s deleted" % percent, "s", "lower", both("s"))
        self.row(section, "WAL of it", "bytes", "lower", both("wal"))
        for ef in self.options.vacuum_ef:
            self.row(section, "recall@%d afterwards, ef_search=%d" % (K, ef), "recall", "higher", both(("recall", ef)))
            if rebuild:
                self.row(section, "recall@%d of a fresh index, ef_search=%d" % (K, ef), "recall", "higher", both(("fresh", ef)))
        if rebuild:
            self.row(section, "REINDEX of the rest", "s", "lower", both("rebuild"))

    def section_vacuum5(self):
        self.vacuum_after("vacuum5", 0.05, False)

    def section_vacuum50(self):
        self.vacuum_after("vacuum50", 0.50, True)

    def section_churn(self):
        """Three times: 10 % of the rows go, VACUUM, the same rows come back.
        The set of rows, and so the truth, is what it was."""
        order = np.random.default_rng(13).permutation(len(self.data.base))
        tenth = len(order) // 10
        seen = {name: {"s": 0.0, "insert": 0.0} for name in EXTENSIONS}
        for name in EXTENSIONS:
            mine = seen[name]
            database = self.copied(name)
            for cycle in range(3):
                numbers = order[cycle * tenth:(cycle + 1) * tenth]
                self.cluster.sql(database, "DROP TABLE IF EXISTS gone;\nCREATE TABLE gone AS SELECT * FROM items WHERE id IN (%s);\n"
                                 % ",".join(str(one) for one in numbers))
                self.delete(database, numbers)
                mine["s"] += self.vacuum(database)[0]
                mine["insert"] += self.cluster.timed(database, "INSERT INTO items SELECT * FROM gone")[0]
            mine["bytes"] = self.size(database)
            for ef in self.options.vacuum_ef:
                mine["recall", ef] = self.recall(database, ef)
                mine["before", ef] = self.recall("base_" + name, ef)

        def both(key):
            return {name: seen[name][key] for name in EXTENSIONS}

        for ef in self.options.vacuum_ef:
            self.row("churn", "recall@%d before, ef_search=%d" % (K, ef), "recall", "higher", both(("before", ef)))
            self.row("churn", "recall@%d after 30 %% changed, ef_search=%d" % (K, ef), "recall", "higher", both(("recall", ef)))
        self.row("churn", "index size after", "bytes", "lower", both("bytes"))
        self.row("churn", "three times VACUUM of 10 %", "s", "lower", both("s"))
        self.row("churn", "three times INSERT ... SELECT of 10 %", "s", "lower", both("insert"))
