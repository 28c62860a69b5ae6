#!/usr/bin/env python3
"""Compares Darkroom's pipeline with sharp, Pillow, vipsthumbnail and oximg on pictures of one's own. `make bench-render
CORPUS=dir` calls it. Every rate is the median of ROUNDS rounds (3), in which the systems take turns; each renders for
SECONDS (1.5) in its own process, with the files in memory (vipsthumbnail and oximg: one process per rendition, from disk).

    ONLY=a,b   only these tasks, or `stages`: where the time of each goes; `alone`: how long one photograph takes when
               nothing else runs; `sources`: scores of quality 80 for sources of 768, 2000 and 4000 pixels;
               `sizes`: bytes at equal SSIMULACRA2, and whether `auto` finds the smallest; `webp-frontier`: our WebP encoder
               and libwebp's methods, without a resize
    BEFORE=p   p, the render_bench of an earlier commit, takes part too
    SYSTEMS=a;b  only these rows of the tables
    WRITE=1    writes table and chart into docs/ too

CORPUS holds photos/, graphics/ and kodak/. sharp's own three tasks need its fixtures there: 2569067123_aca715a2ee_o.jpg and
4.webp in photos/, alpha-premultiply-2048x1536-paper.png in graphics/. Missing files are skipped with a message.

From the environment: RENDER_BENCH (crates/pipeline/examples/render_bench.rs, built), FRONTIER
(crates/webp/examples/frontier.rs, built), SCORE (bench/render's own program, built), PEERS
(where node_modules, a Python venv and the references are, or are to be).
"""

import concurrent.futures
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent.absolute()
CORPUS = pathlib.Path(os.environ["CORPUS"]).absolute()
PEERS = pathlib.Path(os.environ["PEERS"]).absolute()
ROUNDS, SECONDS = int(os.environ.get("ROUNDS", "3")), float(os.environ.get("SECONDS", "1.5"))
CORES = len(os.sched_getaffinity(0))
SHARP, PILLOW = ["node", str(PEERS / "sharp_bench.mjs")], [sys.executable, str(HERE / "pillow_bench.py")]
# As worker/src/sandbox/process.rs sets it for a render child.
CHILD = {"MALLOC_MMAP_THRESHOLD_": "67108864", "MALLOC_TRIM_THRESHOLD_": "67108864"}


def install():
    """Restarts in a venv that has Pillow. Returns the names of the peers that are installed."""
    PEERS.mkdir(parents=True, exist_ok=True)
    venv = PEERS / "venv"
    if sys.prefix != str(venv):
        if not venv.exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            subprocess.run([venv / "bin/pip", "install", "--quiet", "Pillow>=12", "numpy", "pyoxipng"], check=True)
        os.execv(venv / "bin/python", [str(venv / "bin/python"), *sys.argv])
    found = ["Pillow"]
    if shutil.which("npm"):
        for name in ("package.json", "sharp_bench.mjs"):
            shutil.copy(HERE / name, PEERS / name)
        if not (PEERS / "node_modules").exists():
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=PEERS, check=True)
        found.append("sharp")
    found += [name for name in ("vipsthumbnail", "oximg") if shutil.which(name)]
    for name in ("sharp", "vipsthumbnail", "oximg"):
        if name not in found:
            print(f"{name} is not installed: skipped")
    return found


PEERS_FOUND = install()

import chart  # noqa: E402, these need the venv
import reference  # noqa: E402
import sizes  # noqa: E402


class Task:
    """Files, and the renditions to make of them. `sizes`: as sharp's resize takes them."""

    def __init__(self, title, files, recipe, sizes, formats, options=None, commands=None, limit=None):
        self.title, self.recipe, self.sizes, self.formats = title, recipe, sizes, formats
        self.files = [str(file) for file in files if file.exists()][:limit]
        self.options, self.commands = options or {}, commands or {}


def resized(**fields):
    return {"recipe": "resize", "width": None, "height": None, "fit": "inside", "format": None, "quality": 80, **fields}


def tasks():
    from PIL import Image

    photos = sorted((CORPUS / "photos").glob("*.jpg"))
    large = [file for file in photos if 11.5e6 < Image.open(file).width * Image.open(file).height < 24.5e6]
    graphics = [f for f in sorted((CORPUS / "graphics").glob("*.png")) if Image.open(f).width >= 1000]
    photo = [CORPUS / "photos/2569067123_aca715a2ee_o.jpg"]
    paper = [CORPUS / "graphics/alpha-premultiply-2048x1536-paper.png"]
    widths = [[2560], [1600], [800], [320]]
    return {
        "jpeg": Task("sharp's JPEG task: 2725 × 2225 to 720 × 588", photo,
                     resized(width=720, height=588, fit="fill", format="jpeg"), [[720, 588]], ["jpeg"],
                     commands={"vipsthumbnail": ".jpg[Q=80]"}),
        "webp": Task("sharp's WebP task: 1024 × 772 to 720 × 543", [CORPUS / "photos/4.webp"],
                     resized(width=720, height=543, fit="fill", format="webp"), [[720, 543]], ["webp"],
                     commands={"vipsthumbnail": ".webp[Q=80]"}),
        "png": Task("sharp's PNG task: 2048 × 1536 with alpha to 720 × 540, without loss", paper,
                    resized(width=720, height=540, fit="fill", format="png", quality=100), [[720, 540]], ["png"],
                    commands={"vipsthumbnail": ".png"}),
        "palette": Task("sharp's PNG task with a palette", paper,
                        resized(width=720, height=540, fit="fill", format="png"), [[720, 540]], ["png"],
                        {"palette": True}, {"vipsthumbnail": ".png[palette]"}),
        "photos": Task("Photographs of 12 to 24 megapixels, as uploaded: 2560, 1600, 800 and 320 wide, each in JPEG and WebP",
                       large, {"recipe": "standard"}, widths, ["jpeg", "webp"], limit=6,
                       commands={"vipsthumbnail": (".jpg[Q=80]", ".webp[Q=80]")}),
        "graphics": Task("Graphics and screenshots to 1000 wide, PNG with a palette", graphics,
                         resized(width=1000, format="png"), [[1000]], ["png"], {"palette": True},
                         {"vipsthumbnail": ".png[palette]"}),
    }


def run(command, cores, environment=None):
    """The JSON that a program prints."""
    pin = [] if cores > 1 else ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    ran = subprocess.run([*pin, *command], check=True, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})})
    return json.loads(ran.stdout)


def darkroom(effort="balanced", spare_cores=None, stages=False, program=os.environ["RENDER_BENCH"]):
    def call(task, cores, seconds, out, files):
        recipe = task.recipe if effort == "balanced" else {**task.recipe, "effort": effort}
        argument = {"files": files, "recipe": recipe, "spare_cores": spare_cores or 0, "seconds": seconds, "out": out,
                    "stages": stages}
        if spare_cores is not None or stages:
            return run([program, json.dumps(argument)], cores, CHILD)
        # One process per core, like the worker's render children.
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            command = [program, json.dumps(argument)]
            answers = list(pool.map(lambda _: run(command, cores, CHILD), range(cores)))
        return {"images": sum(a["images"] for a in answers), "seconds": max(a["seconds"] for a in answers),
                "processor": sum(a["processor"] for a in answers), "memory": answers[0]["memory"]}
    return call


def peer(command, **more):
    def call(task, cores, seconds, out, files):
        argument = {"files": files, "sizes": task.sizes, "formats": task.formats, "options": task.options,
                    "palette": bool(task.options), "threads": cores, "seconds": seconds, "out": out, **more}
        return run([*command, json.dumps(argument)], cores)
    return call


def thumbnailer(line):
    """A command-line program: a process for each rendition. `line` makes its arguments."""
    def call(task, cores, seconds, out, files):
        folder = out or tempfile.mkdtemp()

        def each(index):
            for size in task.sizes:
                for command in line(task, files[index], size, f"{folder}/{index}.{size[0]}"):
                    pin = ["taskset", "-c", "0"] if cores == 1 else []
                    subprocess.run([*pin, *command], check=True, stderr=subprocess.DEVNULL)
        before, start, images = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            while images == 0 or time.perf_counter() - start < seconds:
                images += len(list(pool.map(each, range(len(files)) if cores == 1 else list(range(len(files))) * cores)))
        after, spent = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if not out:
            shutil.rmtree(folder)
        return {"images": images, "seconds": spent, "processor": processor}
    return call


def vipsthumbnail(task, file, size, stem):
    endings = task.commands["vipsthumbnail"]
    box = f"{size[0]}x{size[1]}!" if len(size) > 1 else f"{size[0]}x"
    return [["vipsthumbnail", file, "-s", box, "-o", stem + ending]
            for ending in ([endings] if isinstance(endings, str) else endings)]


def oximg(task, file, size, stem):
    box = [str(size[0]), str(size[1])]
    endings = {"jpeg": "jpg", "webp": "webp"}
    return [["oximg", "resize", file, *box, f"{stem}.{endings[format]}", "-q", "80"] for format in task.formats]


def systems(task):
    all_of_them = {"Darkroom": darkroom()}
    if before := os.environ.get("BEFORE"):
        all_of_them["Darkroom, before"] = darkroom(program=before)
    if task.recipe["recipe"] == "resize":
        all_of_them |= {"Darkroom, speed": darkroom("speed"), "Darkroom, best": darkroom("best")}
    if "sharp" in PEERS_FOUND:
        all_of_them["sharp"] = peer(SHARP)
        if len(task.sizes) > 1:
            all_of_them["sharp, chained by hand"] = peer(SHARP, chained=True)
    all_of_them["Pillow"] = peer(PILLOW)
    if "vipsthumbnail" in PEERS_FOUND:
        all_of_them["vipsthumbnail"] = thumbnailer(vipsthumbnail)
    if "oximg" in PEERS_FOUND and task.title.startswith(("sharp's JPEG", "sharp's WebP")):
        all_of_them["oximg"] = thumbnailer(oximg)
    chosen = os.environ.get("SYSTEMS")
    return {name: call for name, call in all_of_them.items() if not chosen or name in chosen.split(";")}


def outcome(judge, call, task):
    """Bytes and mean scores of one round of files, and the peak of memory for the first of them."""
    with tempfile.TemporaryDirectory() as out:
        call(task, 1, 0, out, task.files)
        made = sorted(pathlib.Path(out).iterdir())
        scores = judge.scores([(task.files[int(path.name.split(".")[0])], path) for path in made])
        total = sum(path.stat().st_size for path in made)
    with tempfile.TemporaryDirectory() as out:
        memory = call(task, 1, 0, out, task.files[:1]).get("memory")
    return total, memory, *(statistics.mean(score[i] for score in scores) for i in (0, 1))


def compare(judge, task):
    """The rows of a task's table, as dicts."""
    calls = systems(task)
    rates = {(name, cores): [] for name in calls for cores in (1, CORES)}
    processor = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for cores in (1, CORES):
            for name, call in calls.items():
                answer = call(task, cores, SECONDS, None, task.files)
                rates[name, cores].append(answer["images"] / answer["seconds"])
                if cores == 1:
                    processor[name].append(1000 * answer["processor"] / answer["images"])
    rows = []
    for name, call in calls.items():
        total, memory, linear, gamma = outcome(judge, call, task)
        one, every = (statistics.median(rates[name, cores]) for cores in (1, CORES))
        rows.append({"system": name, "one": one, "all": every, "processor": statistics.median(processor[name]),
                     "memory": memory, "bytes": total, "linear": linear, "gamma": gamma})
    return rows


def table(task, rows):
    own = rows[0]
    lines = [f"### {task.title}", "",
             f"| | images/s, one core | Darkroom is | images/s, {CORES} cores | Darkroom is | CPU ms an image | peak MiB "
             "| bytes | SSIMULACRA2, linear light | gamma space |", "|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        ratios = [f"{own[key] / row[key]:.2f} ×" if row is not own else "" for key in ("one", "all")]
        memory = f"{row['memory'] / 1024:.0f}" if row["memory"] else ""
        lines.append(f"| {row['system']} | {row['one']:.1f} | {ratios[0]} | {row['all']:.1f} | {ratios[1]} "
                     f"| {row['processor']:.1f} | {memory} | {row['bytes']:,} | {row['linear']:.2f} | {row['gamma']:.2f} |")
    return "\n".join(lines) + "\n"


def stages(everything):
    """Milliseconds of each step, on one core."""

    def median(call, task):
        answers = [call(task, 1, SECONDS, None, task.files) for _ in range(ROUNDS)]
        middle = sorted(answers, key=lambda answer: answer["seconds"] / answer["images"])[len(answers) // 2]
        middle["ms"] = 1000 * middle["seconds"] / middle["images"]
        return middle

    lines = ["### Where the time goes: milliseconds a picture on one core", "",
             "| task | | decode | resize | encode | all else |", "|---|---|---|---|---|---|"]
    for name, task in everything.items():
        if not task.files:
            continue
        own = median(darkroom(stages=True), task)
        ms = {stage: 1000 * seconds / own["images"] for stage, seconds in own["stages"].items()}
        encode = {stage.split()[1]: spent for stage, spent in ms.items() if stage.startswith("encode")}
        decode, resize = ms["decode"], sum(ms.get(stage, 0) for stage in ("resize", "orient", "colour", "to 8 bits"))
        rest = own["ms"] - decode - resize - sum(encode.values())
        encoded = ", ".join(f"{format} {spent:.1f}" for format, spent in sorted(encode.items()))
        lines.append(f"| {name} | Darkroom | {decode:.1f} | {resize:.1f} | {encoded} | {rest:.1f} |")
        for peer_name, command in (("sharp", SHARP), ("Pillow", PILLOW)):
            if peer_name in PEERS_FOUND:
                steps = [median(peer(command, step=step), task)["ms"] for step in ("decode", "resize", "encode")]
                lines.append(f"| | {peer_name} | " + " | ".join(f"{step:.1f}" for step in steps) + " | |")
    return "\n".join(lines) + "\n"


def alone(task):
    """How long one picture takes on all cores."""
    calls = {"Darkroom": darkroom(spare_cores=CORES - 1), "Darkroom, without spare cores": darkroom(spare_cores=0)}
    if "sharp" in PEERS_FOUND:
        calls |= {"sharp, all renditions at once": peer(SHARP, alone=True),
                  "sharp, chained by hand, then all at once": peer(SHARP, alone=True, chained=True)}
    times = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            answer = call(task, CORES, SECONDS, None, task.files)
            times[name].append(1000 * answer["seconds"] / answer["images"])
    own = statistics.median(times["Darkroom"])
    lines = ["### One photograph at a time, the same renditions", "", f"| | ms, {CORES} cores | Darkroom is |", "|---|---|---|"]
    for name, spent in times.items():
        median = statistics.median(spent)
        lines.append(f"| {name} | {median:.0f} | " + ("|" if name == "Darkroom" else f"{median / own:.2f} × |"))
    return "\n".join(lines) + "\n"


def sources(judge):
    """Scores of quality 80 by size of the source: pictures of 768, 2000 and 4000 pixels into 500 × 500, as JPEG."""
    from PIL import Image

    def made(folder, files, width):
        folder.mkdir(exist_ok=True)
        for file in files:
            path = folder / f"{file.stem}.jpg"
            if not path.exists():
                image = reference.upright(file).convert("RGB")
                if width:
                    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
                image.save(path, quality=97, subsampling=0)
        return sorted(folder.iterdir())

    photos = [f for f in sorted((CORPUS / "photos").glob("*.jpg")) if Image.open(f).width > 4000]
    lines = ["### JPEG fitted into 500 × 500: mean SSIMULACRA2, linear light / gamma space", "",
             "| source | pictures | quality | Darkroom | sharp |", "|---|---|---|---|---|"]
    for name, files, width in [("768 px", sorted((CORPUS / "kodak").glob("*.png")), None), ("2000 px", photos, 2000),
                               ("4000 px", photos, 4000)]:
        files = made(PEERS / f"sources-{name.split()[0]}", files, width)
        for quality in (80, 83, 86):
            task = Task(name, files, resized(width=500, height=500, format="jpeg", quality=quality),
                        [[500, 500, {"fit": "inside"}]], ["jpeg"], {"quality": quality})
            sharp = peer(SHARP, palette=False)
            own, theirs = (outcome(judge, call, task) for call in (darkroom(), sharp))
            lines.append(f"| {name} | {len(files)} | {quality} | {own[2]:.2f} / {own[3]:.2f}, {own[0]:,} bytes "
                         f"| {theirs[2]:.2f} / {theirs[3]:.2f}, {theirs[0]:,} bytes |")
    return "\n".join(lines) + "\n"


def encoders(judge):
    """Kodak's pictures, photographs reduced to 1200 pixels, and graphics, as the encoders get them."""
    from PIL import Image

    folder = PEERS / "encoded"
    folder.mkdir(exist_ok=True)
    for file in sorted((CORPUS / "photos").glob("*.jpg")):
        path = folder / f"{file.stem}.png"
        if not path.exists():
            image = reference.upright(file).convert("RGB")
            image.thumbnail((1200, 1200), Image.Resampling.LANCZOS)
            image.save(path)
    photos = [str(file) for file in [*sorted((CORPUS / "kodak").glob("*.png")), *sorted(folder.iterdir())]]
    graphics = [str(file) for file in sorted((CORPUS / "graphics").glob("*.png"))]
    return sizes.page(judge, PEERS, photos, graphics, resized)


def webp_frontier():
    """Bytes at equal SSIMULACRA2 and time, against libwebp's methods, for photographs of several widths and for graphics."""
    from PIL import Image

    folder = PEERS / "frontier"
    photos = sorted((CORPUS / "photos").glob("*.jpg"))
    graphics = [file for file in sorted((CORPUS / "graphics").glob("*.png")) if Image.open(file).mode == "RGB"]
    lines = ["### WebP: our encoder and libwebp", ""]
    for name, files, width in [(f"Photographs, {width} wide", photos, width) for width in (1600, 800, 320)] + [
            ("Graphics, up to 1000 wide", graphics, 1000)]:
        (folder / str(width)).mkdir(parents=True, exist_ok=True)
        paths = []
        for file in files:
            path = folder / str(width) / f"{file.stem}-{width}.ppm"
            if not path.exists():
                image = reference.upright(file).convert("RGB")
                image.thumbnail((width, 16383), Image.Resampling.LANCZOS)
                image.save(path)
            paths.append(str(path))
        table = subprocess.run([os.environ["FRONTIER"], *paths], check=True, capture_output=True, text=True).stdout
        lines += [f"{name} ({len(paths)}):", "", table]
    return "\n".join(lines)


def main():
    judge = reference.Judge(PEERS / "references", os.environ["SCORE"])
    everything = tasks()
    wanted = os.environ.get("ONLY", ",".join([*everything, "stages", "alone", "sources", "sizes", "webp-frontier"])).split(",")
    for name in wanted:
        if name == "sources":
            text = sources(judge)
        elif name == "sizes":
            text = encoders(judge)
        elif name == "webp-frontier":
            text = webp_frontier()
        elif name == "stages":
            text = stages(everything)
        elif not (task := everything["photos" if name == "alone" else name]).files:
            print(f"{name}: its files are not in CORPUS")
            continue
        elif name == "alone":
            text = alone(task)
        else:
            text = table(task, compare(judge, task))
        print(text, flush=True)
        if os.environ.get("WRITE"):
            docs = HERE.parent.parent / "docs"
            chart.into_page(docs / "render.md", name, text)
            chart.draw(docs / "render.svg", docs / "render.md")


main()
