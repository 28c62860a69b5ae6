"""Writes the measurements and their chart into the docs."""

import re

COLOURS = {"Darkroom": "#d9480f", "Darkroom, speed": "#f08c00", "sharp": "#1971c2", "Pillow": "#868e96", "vipsthumbnail": "#2f9e44"}
NAMES = {"jpeg": "JPEG", "webp": "WebP", "png": "PNG", "palette": "PNG, palette", "photos": "photos, 8 files each",
         "graphics": "graphics, palette"}


def into_page(path, name, text):
    """Puts `text` between the page's markers of this name."""
    page = path.read_text()
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    path.write_text(marked.sub(lambda m: f"{m[1]}\n{text}\n{m[2]}", page))


def rates(page):
    """Images a second of processor time, as the page's tables have it: task to system to rate."""
    tasks = {}
    for name in NAMES:
        part = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", page, re.S)[1]
        rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][1:]
        if rows:
            tasks[name] = {row[0]: 1000 / float(row[5]) for row in rows}
    return tasks


def draw(path, page):
    """Bars: images a second of processor time, as multiples of sharp's."""
    tasks = {name: found for name, found in rates(page.read_text()).items() if "sharp" in found}
    bars, y, widest = [], 40, 0
    for name, found in tasks.items():
        bars.append(f'<text x="10" y="{y + 12}" font-weight="bold">{NAMES[name]}</text>')
        y += 18
        for system in (system for system in COLOURS if system in found):
            ratio = found[system] / found["sharp"]
            widest = max(widest, ratio)
            bars.append(f'<rect x="130" y="{y}" width="{ratio * 140:.0f}" height="13" fill="{COLOURS[system]}"/>'
                        f'<text x="124" y="{y + 11}" text-anchor="end">{system}</text>'
                        f'<text x="{136 + ratio * 140:.0f}" y="{y + 11}">{ratio:.2f}</text>')
            y += 16
        y += 8
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{200 + widest * 140:.0f}" height="{y}" '
                    'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
                    '<text x="10" y="20" font-size="14">Images a second of processor time; sharp is 1</text>'
                    + "".join(bars) + "</svg>\n")
