"""Data sets on disk, and their exact answers.

A data set is a directory:

    meta.json     {"name", "n", "dim", "metric", "nq", "k", "source", "synthetic"}
    base.f32      n rows of dim little-endian 32-bit floats (or base.f16: half floats)
    queries.f32   nq rows of the same (or queries.f16)
    gt.i32        nq rows of k little-endian 32-bit row numbers of base, nearest
                  first, exact; equal distances by row number

metric is cosine, l2 or ip (largest inner product first). Nothing else in the
directory is looked at.
"""

import json
import os
import struct

import numpy as np

METRICS = {
    # name: (operator class, operator)
    "cosine": ("vector_cosine_ops", "<=>"),
    "l2": ("vector_l2_ops", "<->"),
    "ip": ("vector_ip_ops", "<#>"),
}
BLOCK = 20000  # rows of base that are handled at a time


def map_rows(folder, name, dim):
    """The rows of base or queries, whichever of the two formats is there."""
    for suffix, kind in ((".f32", "<f4"), (".f16", "<f2")):
        path = os.path.join(folder, name + suffix)
        if os.path.exists(path):
            return np.memmap(path, kind, "r").reshape(-1, dim)
    raise FileNotFoundError("%s has neither %s.f32 nor %s.f16" % (folder, name, name))


class Dataset:
    """One directory; rows are mapped, not read."""

    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "meta.json"), encoding="utf-8") as file:
            self.meta = json.load(file)
        self.name = self.meta["name"]
        self.dim = self.meta["dim"]
        self.metric = self.meta["metric"]
        if self.metric not in METRICS:
            raise ValueError("%s: unknown metric %s" % (folder, self.metric))
        self.base = map_rows(folder, "base", self.dim)
        self.queries = map_rows(folder, "queries", self.dim)
        self.truth = np.memmap(os.path.join(folder, "gt.i32"), "<i4", "r").reshape(-1, self.meta["k"])
        for name, rows, want in (("base", self.base, self.meta["n"]), ("queries", self.queries, self.meta["nq"]),
                                 ("gt", self.truth, self.meta["nq"])):
            if len(rows) != want:
                raise ValueError("%s: %s has %d rows, meta.json says %d" % (folder, name, len(rows), want))

    def opclass(self):
        return METRICS[self.metric][0]

    def operator(self):
        return METRICS[self.metric][1]


def blocks(rows):
    """(first row number, rows as 32-bit floats), block by block."""
    for first in range(0, len(rows), BLOCK):
        yield first, np.asarray(rows[first:first + BLOCK], np.float32)


def unit(rows):
    """Rows scaled to length 1; zero rows stay zero."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)


def exact(base, queries, metric, k):
    """Row numbers of the k nearest of base to each query, nearest first.

    Candidates, 50 more than asked for, come from products of 32-bit floats;
    their order from distances in double precision."""
    queries = np.asarray(queries, np.float32)
    keep = min(k + 50, len(base))
    # a shift changes no Euclidean distance, and keeps the products small
    shift = np.asarray(base[:BLOCK], np.float32).mean(axis=0) if metric == "l2" else np.float32(0)
    wanted = unit(queries) if metric == "cosine" else queries - shift
    near = np.full((len(queries), 0), np.inf, np.float32)
    ids = np.empty((len(queries), 0), np.int64)
    for first, rows in blocks(base):
        rows = unit(rows) if metric == "cosine" else rows - shift
        distance = -(wanted @ rows.T)
        if metric == "l2":
            distance = 2 * distance + (rows * rows).sum(axis=1)
        best = np.argpartition(distance, min(keep, len(rows)) - 1, axis=1)[:, :keep]
        near = np.concatenate([near, np.take_along_axis(distance, best, 1)], axis=1)
        ids = np.concatenate([ids, best + first], axis=1)
        if near.shape[1] > keep:
            best = np.argpartition(near, keep - 1, axis=1)[:, :keep]
            near, ids = np.take_along_axis(near, best, 1), np.take_along_axis(ids, best, 1)
    answer = np.empty((len(queries), k), np.int32)
    for number, query in enumerate(queries):
        mine = np.sort(ids[number])
        rows = np.asarray(base[mine], np.float64)
        query = query.astype(np.float64)
        if metric == "cosine":
            rows, query = unit(rows), unit(query[None])[0]
        distance = ((rows - query) ** 2).sum(axis=1) if metric == "l2" else -(rows @ query)
        answer[number] = mine[np.lexsort((mine, distance))][:k]
    return answer


class Writer:
    """Writes a data set: append() rows of base and queries, then finish()."""

    def __init__(self, folder, dim, half=False):
        os.makedirs(folder, exist_ok=True)
        for part in ("base", "queries"):
            for suffix in (".f16", ".f32"):
                if os.path.exists(os.path.join(folder, part + suffix)):
                    os.unlink(os.path.join(folder, part + suffix))
        self.folder = folder
        self.dim = dim
        self.kind = "<f2" if half else "<f4"
        suffix = ".f16" if half else ".f32"
        self.files = {part: open(os.path.join(folder, part + suffix), "wb") for part in ("base", "queries")}

    def append(self, part, rows):
        rows = np.asarray(rows)
        assert rows.ndim == 2 and rows.shape[1] == self.dim
        rows.astype(self.kind).tofile(self.files[part])

    def finish(self, name, metric, source, synthetic=False, k=100):
        """Compute the answers and describe the set; k is at most the number
        of rows. Returns what meta.json holds."""
        for file in self.files.values():
            file.close()
        base = map_rows(self.folder, "base", self.dim)
        queries = map_rows(self.folder, "queries", self.dim)
        k = min(k, len(base))
        exact(base, queries, metric, k).astype("<i4").tofile(os.path.join(self.folder, "gt.i32"))
        meta = {"name": name, "n": len(base), "dim": self.dim, "metric": metric, "nq": len(queries), "k": k,
                "source": source, "synthetic": synthetic}
        with open(os.path.join(self.folder, "meta.json"), "w", encoding="utf-8") as file:
            json.dump(meta, file, indent=1)
            file.write("\n")
        return meta


def write_split(folder, rows, name, metric, source, nqueries=1000, half=False, seed=42):
    """A data set from rows: nqueries of them, drawn with the seed, become
    queries and leave base. All values must be finite."""
    drawn = np.random.default_rng(seed).permutation(len(rows))[:nqueries]
    mask = np.zeros(len(rows), bool)
    mask[drawn] = True
    writer = Writer(folder, rows.shape[1], half)
    for first, block in blocks(rows):
        writer.append("base", block[~mask[first:first + len(block)]])
    writer.append("queries", rows[mask])
    return writer.finish(name, metric, source)


def write_copy(path, rows, first_id=0):
    """A file for COPY ... (id, v) FROM ... (FORMAT binary). Both extensions
    receive a vector as its dimension, a zero and the numbers, big-endian."""
    dim = rows.shape[1]
    kind = np.dtype([("fields", ">i2"), ("id_size", ">i4"), ("id", ">i4"), ("v_size", ">i4"),
                     ("dim", ">i2"), ("zero", ">i2"), ("v", ">f4", (dim,))])
    with open(path, "wb") as file:
        file.write(b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0))
        for first, block in blocks(rows):
            out = np.zeros(len(block), kind)
            out["fields"], out["id_size"], out["v_size"], out["dim"] = 2, 4, 4 + 4 * dim, dim
            out["id"] = first_id + first + np.arange(len(block))
            out["v"] = block
            out.tofile(file)
        file.write(struct.pack(">h", -1))
