#!/usr/bin/env python3
"""Compares what the pipeline makes of every picture in a folder with what a browser shows, or another decoder where browsers
show nothing. `make conformance SETS=dir` calls it.

Each file is rendered in a process of its own to a lossless PNG of its own size. Both pictures are divided into 16 by 16 parts,
and the means of their colours compared, with alpha. The kinds of the report:

    right      the same size, and no part differs by more than TOLERANCE levels (4)
    wrong      anything else that was rendered
    shown      refused or failed, although the reference shows it
    refused    refused, and no reference shows it: a failure with a reason
    failed     an error without a reason, or more than TIMEOUT seconds (60)
    crashed    the process was killed by a signal
    alone      rendered, and no reference shows it

Each line names a file and what differs; VERBOSE=1 also names those that are refused, or that no reference shows. The references, in this order: Chromium, where it is installed (CHROMIUM,
/usr/bin/chromium; then PLAYWRIGHT, the Python package, drives it), and Pillow with its plugins for HEIC and JPEG XL.

From the environment: SETS (a folder), CONFORM (crates/pipeline/examples/conform.rs, built), PEERS (where the Python venv is,
or is to be), ONLY (a part of the names of files). Exits with 1 where a picture is wrong, shown, failed or crashed.
"""

import collections
import contextlib
import functools
import http.server
import io
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.parse

SETS = pathlib.Path(os.environ["SETS"]).absolute()
PEERS = pathlib.Path(os.environ["PEERS"]).absolute()
CONFORM = os.environ["CONFORM"]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
TOLERANCE = float(os.environ.get("TOLERANCE", "4"))
TIMEOUT = float(os.environ.get("TIMEOUT", "60"))
PARTS = 16
QUIET = {"right"} if os.environ.get("VERBOSE") else {"right", "refused", "alone"}
PACKAGES = ["pillow", "numpy", "pillow-heif", "pillow-jxl-plugin", "playwright"]
NOT_PICTURES = {".md", ".txt", ".json", ".py", ".html", ".c", ".h", ".rs", ".sh", ".yml", ".yaml", ".toml", ".xml", ".license"}

# The means of the parts of a picture in the browser, premultiplied: red, green, blue and alpha of each. Null: it shows nothing.
MEASURE = """async ([url, parts]) => {
  const image = new Image();
  image.src = url;
  try { await image.decode(); } catch { return null; }
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  if (!width || !height || width * height > 1e8) return null;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { colorSpace: 'srgb' });
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, width, height).data;
  const sums = new Float64Array(parts * parts * 4), counts = new Float64Array(parts * parts);
  for (let y = 0, i = 0; y < height; y++) {
    const row = Math.floor(y * parts / height) * parts;
    for (let x = 0; x < width; x++, i += 4) {
      const part = row + Math.floor(x * parts / width), alpha = data[i + 3] / 255;
      counts[part]++;
      for (let c = 0; c < 3; c++) sums[4 * part + c] += data[i + c] * alpha;
      sums[4 * part + 3] += data[i + 3];
    }
  }
  return { size: [width, height], means: [...sums].map((sum, i) => counts[i >> 2] ? sum / counts[i >> 2] : 0) };
}"""


def in_venv():
    """Goes on in a venv with the references."""
    venv = PEERS / "venv"
    if pathlib.Path(sys.prefix) == venv:
        return
    if not venv.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "--quiet", *PACKAGES], check=True)
    os.execv(venv / "bin/python", [str(venv / "bin/python"), *sys.argv])


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """The browser closes connections when it has seen enough."""


@contextlib.contextmanager
def served(folder):
    """An HTTP server of a folder; gives its URL."""
    handler = functools.partial(Handler, directory=str(folder))
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextlib.contextmanager
def browser(folder):
    """Gives a function from a file below `folder` to what the browser shows of it, or None without a browser."""
    if not pathlib.Path(CHROMIUM).exists():
        print(f"no {CHROMIUM}: without a browser")
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, served(folder) as url:
        options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                   "--disable-component-update", "--disable-sync", "--force-color-profile=srgb"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        page = chromium.new_page()
        page.goto(url + "/index.html")
        # The number keeps the browser from showing an earlier file of this name.
        numbers = itertools.count()

        def show(path):
            name = urllib.parse.quote(str(path.relative_to(folder)))
            return page.evaluate(MEASURE, [f"{url}/{name}?{next(numbers)}", PARTS])

        yield show
        chromium.close()


def by_pillow(path):
    """What Pillow shows of a file: as MEASURE."""
    import numpy
    import pillow_heif
    import pillow_jxl  # noqa: F401: registers itself
    from PIL import Image, ImageCms, ImageOps

    pillow_heif.register_heif_opener()
    try:
        image = Image.open(path)
        profile = image.info.get("icc_profile")
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            image = Image.fromarray((numpy.asarray(image) / 257 + 0.5).astype("uint8"))
        alpha = "A" in image.mode or "transparency" in image.info
        colours = image.convert("RGBA" if alpha else "RGB")
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            with contextlib.suppress(ImageCms.PyCMSError):
                base = image if image.mode in ("RGB", "CMYK", "L") else image.convert("RGB")
                colours = ImageCms.profileToProfile(base, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
                if alpha:
                    colours.putalpha(image.convert("RGBA").getchannel("A"))
        pixels = numpy.asarray(colours.convert("RGBA"), dtype="float64")
    except Exception:
        return None
    height, width = pixels.shape[:2]
    pixels = numpy.concatenate([pixels[..., :3] * pixels[..., 3:] / 255, pixels[..., 3:]], axis=2)
    rows, columns = numpy.arange(height) * PARTS // height, numpy.arange(width) * PARTS // width
    sums, counts = numpy.zeros((PARTS, PARTS, 4)), numpy.zeros((PARTS, PARTS, 1))
    numpy.add.at(sums, (rows[:, None], columns[None, :]), pixels)
    numpy.add.at(counts, (rows[:, None], columns[None, :]), 1)
    return {"size": [width, height], "means": list((sums / numpy.maximum(counts, 1)).ravel())}


def difference(ours, theirs):
    """What differs, in words; None if nothing does."""
    if ours["size"] != theirs["size"]:
        return f"{ours['size']} and not {theirs['size']} pixels"
    worst = max(abs(a - b) for a, b in zip(ours["means"], theirs["means"]))
    return f"{worst:.1f} levels in the worst part" if worst > TOLERANCE else None


def judge(path, show, out):
    """The kind of a file, and what there is to say."""
    out.unlink(missing_ok=True)
    try:
        ran = subprocess.run([CONFORM, path, out], capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return "failed", f"more than {TIMEOUT:.0f} s"
    if ran.returncode < 0:
        return "crashed", f"signal {-ran.returncode}"
    if ran.returncode > 0:
        return "failed", ran.stderr.strip()[-200:]
    report = json.loads(ran.stdout)
    references = [by for by in (show, by_pillow) if by]
    theirs, by = next(((shown, by) for by in references if (shown := by(path))), (None, None))
    if "width" not in report:
        reason = report.get("detail", report.get("error"))
        if theirs:
            return "shown", reason
        return ("refused" if "code" in report else "failed"), reason
    if not theirs:
        return "alone", ""
    name = "Pillow" if by is by_pillow else "Chromium"
    differs = difference(by(out), theirs)
    return ("wrong", f"{differs}, by {name}") if differs else ("right", "")


def main():
    in_venv()
    only = os.environ.get("ONLY", "")
    files = sorted(path.relative_to(SETS) for path in SETS.rglob("*") if path.is_file())
    files = [path for path in files if path.suffix.lower() not in NOT_PICTURES and only in str(path)]
    kinds = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "sets").symlink_to(SETS)
        (folder / "index.html").write_text("<!doctype html><title>pictures</title>")
        with browser(folder) as show:
            for path in files:
                kind, reason = judge(folder / "sets" / path, show, folder / "ours.png")
                kinds[kind].append(path)
                if kind not in QUIET:
                    print(f"{kind:8} {path}: {reason}", flush=True)
    print(", ".join(f"{len(paths)} {kind}" for kind, paths in sorted(kinds.items())))
    if any(kinds[kind] for kind in ("wrong", "shown", "failed", "crashed")):
        sys.exit(1)


if __name__ == "__main__":
    main()
