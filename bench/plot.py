"""Draw throughput over SPI clock: the wire's limit, the chips' estimates, what SIM measured.

The limit is a transaction that moves 2 KiB, and no other. The estimate is the arithmetic of
docs/performance.md: for each 2 KiB a connGetStatus and a connRead, their bytes on the wire, the
instructions that were counted, and the transfers' hand-over.
"""

import argparse
import json
import sys
from pathlib import Path

DATA = 2048
TRANSFER_BYTES = DATA + 12  # both headers cross at once
PAIR_BYTES = TRANSFER_BYTES + 12 + 20  # with the connGetStatus before it
CYCLES = 1.3  # for each instruction
HAND_OVER_S = 3 * 10e-6 + 28e-6  # three short transfers are polled, the long one is not
CHIPS = (("ESP32-C3, 160 MHz", 160e6, "#c2410c"), ("ESP32, ESP32-S3, 240 MHz", 240e6, "#1d4ed8"))
PAIR = "connGetStatus + connRead 2048, data arriving"
LEAST_MHZ, MOST_MHZ = 2, 50
MOST_RATE = 7.0  # MB/s
USUAL_MHZ = (20, 26.67, 40)
"""The clocks that controllers ask for (link protocol, networkSetClockControl)."""
WIDTH, HEIGHT = 640, 420
LEFT, RIGHT, TOP, BOTTOM = 50, 20, 40, 50
FONT = 'font-family="sans-serif" font-size="13"'
GREY, FAINT, GREEN = "#555", "#ddd", "#15803d"
DASHES = 'stroke-dasharray="6 4"'


def wire_seconds(count, mhz):
    """Of so many bytes on the wire."""
    return count * 8 / (mhz * 1e6)


def rate(seconds):
    """MB of payload per second, when 2 KiB take so long."""
    return DATA / seconds / 1e6


def place(mhz, megabytes):
    """(x, y) of a point in the picture."""
    x = LEFT + mhz / MOST_MHZ * (WIDTH - LEFT - RIGHT)
    y = HEIGHT - BOTTOM - megabytes / MOST_RATE * (HEIGHT - TOP - BOTTOM)
    return round(x, 1), round(y, 1)


def line(points, colour, more=""):
    """A line through places."""
    joined = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline fill="none" stroke="{colour}" {more} points="{joined}"/>'


def curve(count, extra_seconds, colour, more=""):
    """Payload over all clocks, where 2 KiB take `count` bytes on the wire and so many seconds."""
    clocks = range(LEAST_MHZ, MOST_MHZ + 1)
    points = [place(mhz, rate(wire_seconds(count, mhz) + extra_seconds)) for mhz in clocks]
    return line(points, colour, f'stroke-width="2" {more}')


def text(place, words, more=""):
    """Words in the picture."""
    x, y = place
    return f'<text x="{x}" y="{y}" {FONT} {more}>{words}</text>'


def axes():
    """Lines and numbers."""
    for megabytes in range(int(MOST_RATE) + 1):
        x, y = place(0, megabytes)
        yield line([(x, y), place(MOST_MHZ, megabytes)], FAINT)
        yield text((x - 8, y + 4), megabytes, 'text-anchor="end"')
    for mhz in range(0, MOST_MHZ + 1, 10):
        x, y = place(mhz, 0)
        yield text((x, y + 18), mhz, 'text-anchor="middle"')
    for mhz in USUAL_MHZ:
        x, y = place(mhz, MOST_RATE)
        yield line([place(mhz, 0), (x, y)], FAINT)
        yield text((x, y - 6), f"{mhz:g}", f'text-anchor="middle" fill="{GREY}"')
    x, _ = place(MOST_MHZ / 2, 0)
    yield text((x, HEIGHT - 10), "SPI clock, MHz", 'text-anchor="middle"')
    yield text((8, 16), "payload, MB/s")


def dot(place):
    """A measured point."""
    x, y = place
    return f'<circle cx="{x}" cy="{y}" r="4" fill="{GREEN}"/>'


def legend(rows):
    """A sample and a name for each kind of line or dot; on white, as grid lines are behind."""
    x, y = LEFT + 14, TOP + 8
    yield f'<rect x="{x - 6}" y="{y - 4}" width="232" height="{20 * len(rows)}" fill="white"/>'
    for i, (sample, name) in enumerate(rows):
        middle = y + 8 + 20 * i
        yield sample(x, middle)
        yield text((x + 36, middle + 4), name)


def line_sample(colour, more=""):
    """What stands for a line in the legend."""
    return lambda x, y: line([(x, y), (x + 28, y)], colour, f'stroke-width="2" {more}')


def chip_seconds(instructions, frequency):
    """What a chip adds to the wire's time for 2 KiB."""
    return instructions * CYCLES / frequency + HAND_OVER_S


def picture(core, sim):
    """The SVG's text."""
    instructions = core["instructions"][PAIR]
    parts = [*axes(), curve(TRANSFER_BYTES, 0, GREY, DASHES)]
    rows = [(line_sample(GREY, DASHES), "the wire alone")]
    for name, frequency, colour in CHIPS:
        parts.append(curve(PAIR_BYTES, chip_seconds(instructions, frequency), colour))
        rows.append((line_sample(colour), f"{name}, estimate"))
    points = [(row["sckHz"] / 1e6, row["bytesPerSecond"] / 1e6) for row in sim["clocks"]]
    parts += [dot(place(*point)) for point in points]
    rows.append((lambda x, y: dot((x + 14, y)), "SIM, measured (download)"))
    body = "\n".join([*parts, *legend(rows)])
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def main(arguments):
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description="Draw throughput over SPI clock.")
    parser.add_argument("core", type=Path, help="what core.py kept")
    parser.add_argument("sim", type=Path, help="what sim.py kept")
    parser.add_argument("into", type=Path, help="the SVG")
    files = parser.parse_args(arguments)
    core, sim = json.loads(files.core.read_text()), json.loads(files.sim.read_text())
    files.into.write_text(picture(core, sim))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
