"""Pillow's side of `make bench-render`: Lanczos, in its default gamma space. Same argument and answer as sharp_bench.mjs,
without `chained` and `alone`."""

import io
import json
import multiprocessing
import sys
import time

from PIL import Image, ImageOps

task = json.loads(sys.argv[1])
QUALITY = {"jpeg": {"quality": 80, "optimize": True}, "webp": {"quality": 80}, "png": {}}


def decode(source):
    with Image.open(io.BytesIO(source)) as image:
        picture = ImageOps.exif_transpose(image)
        if picture.mode not in ("RGB", "RGBA", "L"):
            picture = picture.convert("RGBA" if "A" in picture.mode or "transparency" in picture.info else "RGB")
        return picture


def resize(picture):
    for size in task["sizes"]:
        width = min(size[0], picture.width)
        height = size[1] if len(size) > 1 else round(picture.height * width / picture.width)
        yield size, picture.resize((width, height), Image.Resampling.LANCZOS)


def encode(small):
    for format in task["formats"]:
        coded = small.quantize(256, method=Image.Quantize.FASTOCTREE) if task.get("palette") else small
        file = io.BytesIO()
        coded.save(file, format, **QUALITY[format])
        yield format, file.getvalue()


def each(source, write):
    for size, small in resize(decode(source)):
        for format, data in encode(small):
            write(f"{size[0]}.{format}", data)


def prepared(source):
    """The function to be timed."""
    match task.get("step"):
        case "decode":
            return lambda: decode(source)
        case "resize":
            picture = decode(source)
            return lambda: list(resize(picture))
        case "encode":
            pictures = [small for _, small in resize(decode(source))]
            return lambda: [list(encode(small)) for small in pictures]
    return lambda: each(source, lambda *_: None)


def work(sources, seconds, part, parts):
    calls = [prepared(source) for source in sources]
    start, images = time.perf_counter(), 0
    while time.perf_counter() - start < seconds or images % len(sources) != 0:
        calls[(images + part * len(sources) // parts) % len(sources)]()
        images += 1
    return images, time.process_time()


def main():
    sources = [open(file, "rb").read() for file in task["files"]]
    if task["out"]:
        for index, source in enumerate(sources):
            each(source, lambda name, data: open(f"{task['out']}/{index}.{name}", "wb").write(data))
    start, before, threads, seconds = time.perf_counter(), time.process_time(), task["threads"], task["seconds"]
    if seconds == 0:
        done = []
    elif threads == 1:
        done = [work(sources, seconds, 0, 1)]
    else:
        with multiprocessing.Pool(threads) as pool:
            done = pool.starmap(work, [(sources, seconds, part, threads) for part in range(threads)])
            before = 0
    images, processor = sum(i for i, _ in done), sum(p for _, p in done) - before
    memory = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
    print(json.dumps({"images": images, "seconds": time.perf_counter() - start, "processor": processor,
                      "memory": memory}))


main()
