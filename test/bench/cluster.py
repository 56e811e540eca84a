"""A throw-away PostgreSQL cluster, and its clients psql and pgbench."""

import fcntl
import glob
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time


class Cluster:
    """A cluster on a unix socket in a temporary directory, removed by close();
    or, with 'place', in that directory, where it stays and is found again."""

    def __init__(self, bindir, settings, place=None):
        self.bindir = bindir
        if place:  # one run at a time
            os.makedirs(place, exist_ok=True)
            self.lock = open(os.path.join(place, "lock"), "w", encoding="utf-8")
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sys.exit("%s is in use by another run" % place)
        self.folder = tempfile.mkdtemp(prefix="piramid-bench.")
        os.chmod(self.folder, 0o755)
        # PostgreSQL refuses root: then the user postgres owns and runs it
        self.owner = {}
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            self.owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            if place:
                os.chown(place, user.pw_uid, user.pw_gid)
        self.place = place
        self.data = os.path.join(os.path.abspath(place) if place else self.folder, "data")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        self.environment.update(PGHOST=self.folder, PGUSER="postgres", LC_ALL="C.UTF-8", TZ="UTC")
        self.settings = dict(settings)
        try:
            if not os.path.exists(os.path.join(self.data, "PG_VERSION")):
                self._server("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8",
                             "--locale=C", "--no-sync")
            self.start()
        except BaseException:
            self.close()
            raise

    def _server(self, program, *arguments):
        run = subprocess.run([os.path.join(self.bindir, program), *arguments], env=self.environment, cwd=self.folder,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             errors="replace", check=False, **self.owner)
        if run.returncode:
            raise RuntimeError("%s: %s" % (program, run.stdout[-2000:]))

    def _write_settings(self):
        # the only file of settings: what initdb wrote are defaults of the server
        with open(os.path.join(self.data, "postgresql.conf"), "w", encoding="utf-8") as file:
            file.write("listen_addresses = ''\nunix_socket_directories = '%s'\n" % self.folder)
            for name, value in self.settings.items():
                if value is not None:  # the server's own
                    file.write("%s = '%s'\n" % (name, value))

    def start(self):
        """Start, with the present settings."""
        self._write_settings()
        self._server("pg_ctl", "-D", self.data, "-l", os.path.join(self.data, "server.log"), "-s", "-w", "-t", "300",
                     "start")

    def stop(self):
        self._server("pg_ctl", "-D", self.data, "-m", "fast", "-s", "-w", "-t", "600", "stop")

    def restart(self, **settings):
        self.settings.update(settings)
        self.stop()
        self.start()

    def reload(self, **settings):
        """Change settings that need no restart; they hold when this returns."""
        self.settings.update(settings)
        self._write_settings()
        self._server("pg_ctl", "-D", self.data, "-s", "reload")
        deadline = time.monotonic() + 60
        for name, value in settings.items():
            while self.value("postgres", "SHOW %s" % name) != value:
                if time.monotonic() > deadline:
                    raise RuntimeError("%s did not become %s" % (name, value))
                time.sleep(0.1)

    def close(self):
        if os.path.exists(os.path.join(self.data, "postmaster.pid")):
            try:
                self._server("pg_ctl", "-D", self.data, "-m", "fast" if self.place else "immediate", "-s", "-w",
                             "-t", "600", "stop")
            except RuntimeError as error:
                print(error)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --------------------------------------------------------------------
    # psql
    # --------------------------------------------------------------------

    def run(self, database, script):
        """Run a psql script; (rows as lists of text, what went to stderr)."""
        run = subprocess.run([os.path.join(self.bindir, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                              "-F", "\t", "-d", database], input=script, env=self.environment, cwd=self.folder,
                             capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError("psql, database %s: %s\n%s" % (database, run.stderr[-2000:], script[:500]))
        return [line.split("\t") for line in run.stdout.splitlines()], run.stderr

    def sql(self, database, script):
        return self.run(database, script)[0]

    def value(self, database, query):
        return self.sql(database, query)[0][0]

    def timed(self, database, command, before=""):
        """Seconds of one command by psql's \\timing, and its notices."""
        rows, notices = self.run(database, "%s\n\\timing on\n%s;\n" % (before, command))
        found = [row[0] for row in rows if row[0].startswith("Time: ")]
        return float(re.match(r"Time: ([\d.]+) ms", found[-1]).group(1)) / 1000, notices

    def wal_position(self):
        return int(self.value("postgres", "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"))

    # --------------------------------------------------------------------
    # pgbench
    # --------------------------------------------------------------------

    def pgbench(self, database, script, clients, *, seconds=None, transactions=None, settings=(), variables=None,
                latencies=False):
        """Transactions a second, and with 'latencies' those of each in ms.

        settings are "name=value" of the server, variables those of the script,
        which each client keeps from one transaction to the next."""
        path = os.path.join(self.folder, "bench.sql")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        command = [os.path.join(self.bindir, "pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", str(clients),
                   "--random-seed=1", "-f", path]
        command += ["-T", str(seconds)] if seconds else ["-t", str(transactions)]
        for name, value in (variables or {}).items():
            command += ["-D", "%s=%s" % (name, value)]
        prefix = os.path.join(self.folder, "latency")
        if latencies:
            command += ["-l", "--log-prefix", prefix]
        environment = dict(self.environment, PGOPTIONS=" ".join("-c " + setting for setting in settings))
        run = subprocess.run(command + [database], env=environment, cwd=self.folder, capture_output=True, text=True,
                             check=False)
        found = re.search(r"^tps = ([\d.]+) \(without initial", run.stdout, re.M)
        if run.returncode or not found:
            raise RuntimeError("pgbench, database %s: %s\n%s" % (database, run.stderr[-2000:], script))
        times = []
        for name in glob.glob(prefix + ".*"):
            with open(name, encoding="ascii") as file:
                times += [int(line.split()[2]) / 1000 for line in file]
            os.unlink(name)
        return float(found.group(1)), times
