"""Draw throughput over SPI clock: the wire's limit, the chips' estimates, what SIM measured.

The estimate is the arithmetic of docs/performance.md: for each 2 KiB a connGetStatus and a
connRead, their bytes on the wire, the instructions that were counted, and the transfers' hand-over.

Usage: bench_plot.py CORE.json SIM.json INTO.svg
"""

import json
import sys
from pathlib import Path

DATA = 2048
WIRE_BYTES = DATA + 12 + 12 + 20  # both headers and the status
CYCLES = 1.3  # for each instruction
HAND_OVER_S = 3 * 10e-6 + 28e-6  # three short transfers are polled, the long one is not
CHIPS = (("ESP32-C3, 160 MHz", 160e6, "#c2410c"), ("ESP32, ESP32-S3, 240 MHz", 240e6, "#1d4ed8"))
MOST_MHZ = 80
MOST_RATE = 8.0  # MB/s
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 400, 60, 50
FONT = 'font-family="sans-serif" font-size="13"'


def wire_seconds(mhz):
    """Of one pair on the wire alone."""
    return WIRE_BYTES * 8 / (mhz * 1e6)


def rate(seconds):
    """MB of payload per second."""
    return DATA / seconds / 1e6


def place(mhz, megabytes):
    """Where a point is in the picture."""
    x = LEFT + mhz / MOST_MHZ * (WIDTH - LEFT - 20)
    y = HEIGHT - BOTTOM - megabytes / MOST_RATE * (HEIGHT - BOTTOM - 20)
    return f"{x:.1f},{y:.1f}"


def curve(colour, extra_seconds, dashes=""):
    """A line over all clocks, for so many seconds besides the wire's."""
    clocks = range(2, MOST_MHZ + 1)
    points = " ".join(place(mhz, rate(wire_seconds(mhz) + extra_seconds)) for mhz in clocks)
    return f'<polyline fill="none" stroke="{colour}" stroke-width="2" {dashes} points="{points}"/>'


def text(x, y, words, more=""):
    """Words in the picture."""
    return f'<text x="{x}" y="{y}" {FONT} {more}>{words}</text>'


def axes():
    """Lines and numbers."""
    for mhz in range(0, MOST_MHZ + 1, 10):
        x = float(place(mhz, 0).split(",")[0])
        yield text(x, HEIGHT - BOTTOM + 18, mhz, 'text-anchor="middle"')
    for megabytes in range(0, int(MOST_RATE) + 1):
        start, end = place(0, megabytes), place(MOST_MHZ, megabytes)
        yield f'<polyline stroke="#ddd" points="{start} {end}"/>'
        y = float(start.split(",")[1])
        yield text(LEFT - 8, y + 4, megabytes, 'text-anchor="end"')
    middle = (LEFT + WIDTH) / 2
    yield text(middle, HEIGHT - 10, "SPI clock, MHz", 'text-anchor="middle"')
    yield text(10, 14, "payload, MB/s")


def picture(core, sim):
    """The SVG's text."""
    instructions = core["instructions"]["connGetStatus + connRead 2048, data arriving"]
    parts = [*axes(), curve("#555", 0, 'stroke-dasharray="6 4"')]
    legend = [("#555", "the wire alone")]
    for name, frequency, colour in CHIPS:
        parts.append(curve(colour, instructions * CYCLES / frequency + HAND_OVER_S))
        legend.append((colour, name + ", estimate"))
    for row in sim["clocks"]:
        x, y = place(row["sckHz"] / 1e6, row["bytesPerSecond"] / 1e6).split(",")
        parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="#15803d"/>')
    legend.append(("#15803d", "SIM, measured (download)"))
    for i, (colour, name) in enumerate(legend):
        parts.append(text(LEFT + 20, 40 + 18 * i, name, f'fill="{colour}"'))
    body = "\n".join(parts)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def main(arguments):
    """Read, draw, write."""
    core, sim, into = arguments
    Path(into).write_text(
        picture(json.loads(Path(core).read_text()), json.loads(Path(sim).read_text()))
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
