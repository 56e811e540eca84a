"""Results as Markdown, JSON and SVG, and the arithmetic of comparing curves."""

import json
import math

COLOURS = {"piramid": "#c2410c", "pgvector": "#1d4ed8"}
TARGETS = (0.90, 0.95, 0.98, 0.99)


def qps_at(points, recall):
    """Queries a second at a recall, from [(recall, qps)] of one curve.

    Between two measured points log(qps) is taken as linear in log(1 - recall).
    If every point is above the recall, the fastest of them is what a user
    would run. None if no point reaches it."""
    points = sorted(points)
    # a slower point with less recall is no one's choice
    points = [one for one in points if not any(other[0] >= one[0] and other[1] > one[1] for other in points)]
    above = [one for one in points if one[0] >= recall]
    below = [one for one in points if one[0] < recall]
    if not above:
        return None
    if not below:
        return above[0][1]
    (low, slow), (high, fast) = below[-1], above[0]

    def scale(value):
        return math.log(max(1 - value, 1e-4))

    share = (scale(recall) - scale(low)) / (scale(high) - scale(low))
    return math.exp(math.log(slow) + share * (math.log(fast) - math.log(slow)))


def number(value):
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return "{:,.0f}".format(value)
    if abs(value) >= 100:
        return "%.0f" % value
    if abs(value) >= 1:
        return "%.3g" % value
    return "%.4f" % value


def amount(row, name):
    value = row[name]
    if isinstance(value, (int, float)) and row["unit"] == "bytes" and value >= 1000000:
        return "%s MiB" % number(value / 1048576)
    return number(value)


def ratio(row):
    """How many times piramid is better, as (sign, number): the sign is empty, or
    > or < where one of the two was given up and only a bound is known. None where
    there is nothing to divide, as with recalls."""
    values, bounds = [], []
    for name in ("piramid", "pgvector"):
        value = row[name]
        bounds.append(isinstance(value, str) and value.startswith("> "))
        values.append(float(value[2:]) if bounds[-1] else value)
    if row["unit"] == "recall" or all(bounds) or not all(isinstance(one, (int, float)) and one > 0 for one in values):
        return None
    mine, other = values
    if row["better"] == "higher":
        sign = ">" if bounds[0] else "<" if bounds[1] else ""
        return sign, mine / other
    sign = "<" if bounds[0] else ">" if bounds[1] else ""
    return sign, other / mine


def ratio_text(row):
    found = ratio(row)
    if found is None:
        return ""
    sign, value = found
    return (sign + " " if sign else "") + ("%.0f" if value >= 100 else "%.1f" if value >= 10 else "%.2f") % value


def markdown(result):
    lines = ["# %s" % result["data"]["name"], ""]
    for name, value in result["environment"].items():
        lines.append("- %s: %s" % (name, value))
    data = result["data"]
    lines.append("- data: %s, %s rows of %d dimensions, %s, %d queries%s; %s" % (
        data["name"], number(data["n"]), data["dim"], data["metric"], data["nq"],
        ", synthetic" if data.get("synthetic") else "", data.get("source", "")))
    lines.append("- settings: " + ", ".join("%s=%s" % one for one in result["settings"].items()))
    lines += ["", "| section | measure | piramid | pgvector | piramid better by |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        lines.append("| %s | %s%s | %s | %s | %s |" % (
            row["section"], row["measure"], ", " + row["unit"] if row["unit"] not in ("bytes", "recall") else "",
            amount(row, "piramid"), amount(row, "pgvector"), ratio_text(row)))
    lines += ["", "When each section was run, its seconds, and the load average (1 min) before and after:", "",
              "| section | date | piramid's commit | runs of a point | seconds | before | after |", "|---|---|---|---|---|---|---|"]
    for one in result["sections"]:
        lines.append("| %s%s | %s | %s | %d x %d s | %.0f | %.2f | %.2f |" % (
            one["name"], "" if one["complete"] else " (failed)", one["date"], one["commit"], one["rounds"],
            one["round_seconds"], one["seconds"], one["load_before"], one["load_after"]))
    for note in result["notes"]:
        lines += ["", note["text"]]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------
# The plot
# ------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 480, 70, 20, 50, 60


def svg(title, subtitle, curves):
    """Recall against queries a second, both logarithmic (recall by what it
    lacks to 1). curves is [(label, extension, dashed, [(recall, qps)])]."""
    points = [point for curve in curves for point in curve[3]]
    worst = max(0.02, 1 - min(recall for recall, _ in points))
    best = min(0.01, max(1e-4, min(1 - recall for recall, _ in points)))
    slow = min(qps for _, qps in points) / 1.2
    fast = max(qps for _, qps in points) * 1.2

    def x_of(recall):
        share = (math.log(worst) - math.log(min(worst, max(best, 1 - recall)))) / (math.log(worst) - math.log(best))
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y_of(qps):
        share = (math.log(qps) - math.log(slow)) / (math.log(fast) - math.log(slow))
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def text(x, y, words, anchor="middle", size=12, colour="#333"):
        words = words.replace("&", "&amp;").replace("<", "&lt;")
        return '<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="%s">%s</text>' % (
            x, y, anchor, size, colour, words)

    def line(x1, y1, x2, y2, colour):
        return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>' % (x1, y1, x2, y2, colour)

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif">' % (WIDTH, HEIGHT),
           '<rect width="%d" height="%d" fill="#fff"/>' % (WIDTH, HEIGHT),
           text(WIDTH / 2, 20, title, size=15), text(WIDTH / 2, 38, subtitle, size=11)]
    for recall in (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999):
        if best <= 1 - recall + 1e-9 and 1 - recall <= worst + 1e-9:
            out += [line(x_of(recall), TOP, x_of(recall), HEIGHT - BOTTOM, "#e5e5e5"),
                    text(x_of(recall), HEIGHT - BOTTOM + 18, "%g" % recall)]
    for power in range(0, 7):
        for digit in (1, 2, 5):
            qps = digit * 10 ** power
            if slow <= qps <= fast:
                out += [line(LEFT, y_of(qps), WIDTH - RIGHT, y_of(qps), "#e5e5e5"),
                        text(LEFT - 8, y_of(qps) + 4, "{:,}".format(qps), "end")]
    out += [text(WIDTH / 2, HEIGHT - 12, "recall@10"),
            '<g transform="rotate(-90 16 %d)">%s</g>' % (HEIGHT / 2, text(16, HEIGHT / 2, "queries a second"))]
    for place, (label, extension, dashed, curve) in enumerate(curves):
        colour = COLOURS[extension]
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        path = " ".join("%.1f,%.1f" % (x_of(recall), y_of(qps)) for recall, qps in sorted(curve))
        out.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>' % (path, colour, dash))
        out += ['<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>' % (x_of(recall), y_of(qps), colour)
                for recall, qps in curve]
        y = HEIGHT - BOTTOM - 14 - 18 * place
        out += ['<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="2"%s/>' % (
            LEFT + 12, y - 4, LEFT + 44, y - 4, colour, dash), text(LEFT + 52, y, label, "start")]
    return "\n".join(out + ["</svg>"]) + "\n"


def write(result, stem):
    """stem.md, stem.json and, if there are curves, stem.svg; their names."""
    names = [stem + ".md", stem + ".json"]
    with open(names[0], "w", encoding="utf-8") as file:
        file.write(markdown(result))
    with open(names[1], "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    curves = []
    for clients in sorted({one["clients"] for one in result["curves"]}):
        for extension in COLOURS:
            points = [(one["recall"], one["qps"]) for one in result["curves"]
                      if one["clients"] == clients and one["extension"] == extension and one["section"] in ("query", "clients")]
            if points:
                curves.append(("%s, %d client%s" % (extension, clients, "s" * (clients > 1)), extension, clients > 1, points))
    if curves:
        names.append(stem + ".svg")
        environment = result["environment"]
        with open(names[2], "w", encoding="utf-8") as file:
            file.write(svg("%s: recall and speed" % result["data"]["name"],
                           "%s; %s" % (environment["server"], environment["date"]), curves))
    return names
