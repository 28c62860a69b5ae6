"""Bytes at equal SSIMULACRA2, without a resize: a comparison of the encoders alone. Each picture is encoded by Darkroom at a quality
of 80, and by its peers at a ladder of qualities; a peer's bytes at Darkroom's score lie between two steps (in logarithms)."""

import json
import math
import os
import pathlib
import shutil
import subprocess
import tempfile

LADDER = range(50, 99, 4)
PALETTES = (40, 60, 70, 80, 90, 95, 100)

SHARP = """
import sharp from "sharp";
for (const [from, to, quality] of JSON.parse(process.argv[1]))
    await sharp(from).jpeg({ quality, mozjpeg: true }).toFile(to);
"""


def own(folder, files, recipe):
    """Paths of the files that Darkroom makes, one per source."""
    argument = {"files": files, "recipe": recipe, "seconds": 0, "out": str(folder)}
    subprocess.run([os.environ["RENDER_BENCH"], json.dumps(argument)], check=True, stdout=subprocess.DEVNULL)
    made = {int(path.name.split(".")[0]): path for path in pathlib.Path(folder).iterdir()}
    return [made[index] for index in range(len(files))]


def pillow(folder, files, kind, options):
    """The paths of the ladder for each source."""
    from PIL import Image

    ladders = []
    for index, file in enumerate(files):
        image, paths = Image.open(file).convert("RGB"), []
        for quality in LADDER:
            paths.append(pathlib.Path(folder) / f"{index}.{quality}.{kind}")
            image.save(paths[-1], quality=quality, **options)
        ladders.append(paths)
    return ladders


def trellis(folder, files, peers):
    ladders = [[pathlib.Path(folder) / f"{index}.{quality}.jpeg" for quality in LADDER] for index in range(len(files))]
    work = [[file, str(path), quality] for file, paths in zip(files, ladders) for path, quality in zip(paths, LADDER)]
    subprocess.run(["node", "--input-type=module", "-e", SHARP, json.dumps(work)], check=True, cwd=peers)
    return ladders


def at_score(judge, file, ladder, score):
    """Bytes of a ladder at a score; `None` where it does not reach it."""
    steps = sorted(zip((pair[0] for pair in judge.scores([(file, path) for path in ladder])),
                       (path.stat().st_size for path in ladder)))
    for (low, fewer), (high, more) in zip(steps, steps[1:]):
        if low <= score <= high:
            part = (score - low) / max(high - low, 1e-9)
            return math.exp(math.log(fewer) + part * (math.log(more) - math.log(fewer)))
    return None


def compare(judge, files, recipes, ladders):
    """Rows: a recipe of Darkroom's against each ladder."""
    lines = []
    for name, recipe in recipes.items():
        with tempfile.TemporaryDirectory() as folder:
            made = own(folder, files, recipe)
            scores = [pair[0] for pair in judge.scores(list(zip(files, made)))]
            sizes = [path.stat().st_size for path in made]
        for peer, paths in ladders.items():
            pairs = [(size, theirs) for file, path, size, score in zip(files, paths, sizes, scores)
                     if (theirs := at_score(judge, file, path, score))]
            ratio = sum(size for size, _ in pairs) / sum(theirs for _, theirs in pairs)
            lines.append(f"| {name} | {sum(scores) / len(scores):.2f} | {sum(sizes):,} | {peer} | {ratio:.3f} × "
                         f"| {len(pairs)} of {len(files)} |")
    return lines


def page(judge, peers, photos, graphics, resized):
    lines = ["### Bytes at equal SSIMULACRA2, without a resize", "",
             "| Darkroom's recipe, quality 80 | its mean SSIMULACRA2 | its bytes | against | it has | pictures |",
             "|---|---|---|---|---|---|"]
    folder = tempfile.TemporaryDirectory
    with folder() as one, folder() as two, folder() as three, folder() as four:
        jpegs = {"libjpeg-turbo, optimised, progressive (Pillow)": pillow(one, photos, "jpeg",
                                                                          {"optimize": True, "progressive": True}),
                 "mozjpeg with trellis (sharp)": trellis(two, photos, peers)}
        lines += compare(judge, photos, {"JPEG": resized(format="jpeg"), "JPEG, best": resized(format="jpeg", effort="best")},
                         jpegs)
        webps = {"libwebp, method 4 (Pillow)": pillow(three, photos, "webp", {"method": 4})}
        lines += compare(judge, photos, {"WebP": resized(format="webp")}, webps)
        if shutil.which("pngquant"):
            palettes = {"pngquant, oxipng -o 4": pngquant(four, graphics)}
            lines += compare(judge, graphics, {"PNG": resized(format="png"), "PNG, best": resized(format="png", effort="best")},
                             palettes)
        else:
            print("no pngquant: left out")
    lines += ["", *choices(photos + graphics, resized)]
    return "\n".join(lines) + "\n"


def pngquant(folder, files):
    """For each file the paths of palettes as good as is asked for, and better and better ones, with oxipng behind them."""
    import oxipng

    ladders = []
    for index, file in enumerate(files):
        paths = [pathlib.Path(folder) / f"{index}.{quality}.png" for quality in PALETTES]
        for quality, path in zip(PALETTES, paths):
            subprocess.run(["pngquant", "--quality", f"0-{quality}", "--output", path, file], check=True)
            oxipng.optimize(path, level=4)
        ladders.append(paths)
    return ladders


def choices(files, resized):
    """`auto` against each fixed choice that can show the picture: not JPEG for transparent ones."""
    from PIL import Image

    def is_opaque(file):
        image = Image.open(file)
        return image.convert("RGBA").getchannel("A").getextrema()[0] == 255 if image.has_transparency_data else True

    sizes = {}
    for format in (None, "webp", "jpeg", "png"):
        with tempfile.TemporaryDirectory() as folder:
            sizes[format] = [path.stat().st_size for path in own(folder, files, resized(format=format))]
    opaque = [is_opaque(file) for file in files]
    best = [min(sizes[format][i] for format in ("webp", "jpeg", "png") if opaque[i] or format != "jpeg")
            for i in range(len(files))]
    larger = [i for i, size in enumerate(sizes[None]) if size > best[i]]
    every = ", ".join(f"{format} {sum(sizes[format]):,}" for format in ("webp", "png"))
    lines = [f"`auto` on all {len(files)} pictures: {sum(sizes[None]):,} bytes; the best choice for each picture: {sum(best):,}; one "
             f"format for all that can show them: {every}."]
    if larger:
        names = ", ".join(f"{pathlib.Path(files[i]).name} ({sizes[None][i] / best[i]:.2f} ×)" for i in larger)
        lines.append(f"Larger than the best for that picture: {names}.")
    return lines
