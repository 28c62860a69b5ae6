"""The page that shows what was measured, and its chart."""

import re

COLOURS = {"Darkroom": "#d9480f", "Darkroom, speed": "#f08c00", "sharp": "#1971c2", "Pillow": "#868e96", "vipsthumbnail": "#2f9e44"}
NAMES = {"jpeg": "JPEG", "webp": "WebP", "png": "PNG", "palette": "PNG, palette", "photos": "photos, 8 files each",
         "graphics": "graphics, palette"}


def into_page(path, name, text):
    """Puts `text` between the page's markers of this name."""
    page = path.read_text()
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    path.write_text(marked.sub(lambda m: f"{m[1]}\n{text}\n{m[2]}", page))


def draw(path, tasks):
    """Bars: images a second on one core, as multiples of sharp's."""
    bars, y = [], 40
    for name, rows in tasks.items():
        rates = {row["system"]: row["one"] for row in rows}
        bars.append(f'<text x="10" y="{y + 12}" font-weight="bold">{NAMES[name]}</text>')
        y += 18
        for system in (system for system in COLOURS if system in rates):
            ratio = rates[system] / rates["sharp"]
            bars.append(f'<rect x="130" y="{y}" width="{ratio * 140:.0f}" height="13" fill="{COLOURS[system]}"/>'
                        f'<text x="124" y="{y + 11}" text-anchor="end">{system}</text>'
                        f'<text x="{136 + ratio * 140:.0f}" y="{y + 11}">{ratio:.2f}</text>')
            y += 16
        y += 8
    widest = max(row["one"] / next(r["one"] for r in rows if r["system"] == "sharp") for rows in tasks.values() for row in rows
                 if row["system"] in COLOURS)
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{200 + widest * 140:.0f}" height="{y}" '
                    'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
                    '<text x="10" y="20" font-size="14">Images a second on one core; sharp is 1</text>'
                    + "".join(bars) + "</svg>\n")
