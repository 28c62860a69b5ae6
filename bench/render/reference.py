"""The references of the scores: the whole picture, downscaled by Pillow in one step with a Lanczos kernel in floating point; once in
linear light and once, as most programs do it, in coded (gamma) values. Upright, sRGB, composited on white."""

import io
import pathlib
import subprocess

import numpy
from PIL import Image, ImageCms, ImageOps

SRGB = ImageCms.createProfile("sRGB")


def upright(path):
    image = ImageOps.exif_transpose(Image.open(path))
    alpha = "A" in image.mode or "transparency" in image.info
    profile = image.info.get("icc_profile")
    image = image.convert("RGBA" if alpha else "RGB")
    if profile:
        colours = ImageCms.profileToProfile(image.convert("RGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile)), SRGB)
        if alpha:
            colours.putalpha(image.getchannel("A"))
        image = colours
    return image


def to_light(coded):
    return numpy.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4).astype(numpy.float32)


def to_code(light):
    light = numpy.clip(light, 0, 1)
    return numpy.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def on_white(image):
    """Raw sRGB."""
    if image.mode in ("RGBA", "LA", "PA", "P"):
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image)
        image = ground
    return image.convert("RGB").tobytes()


def reduced(image, size, linear):
    """`image`, resized with premultiplied alpha and composited on white, as raw sRGB."""
    samples = numpy.asarray(image).astype(numpy.float32) / 255
    alpha = samples[..., 3] if samples.shape[2] == 4 else None
    planes = []
    for i in range(3):
        plane = to_light(samples[..., i]) if linear else samples[..., i]
        planes.append(plane if alpha is None else plane * alpha)
    if alpha is not None:
        planes.append(alpha)
    lanczos = Image.Resampling.LANCZOS
    small = [numpy.asarray(Image.fromarray(plane, "F").resize(size, lanczos)) for plane in planes]
    opacity = numpy.clip(small.pop(), 0, 1) if alpha is not None else None
    coded = []
    for plane in small:
        if opacity is not None:
            plane = plane / numpy.maximum(opacity, 1e-6)
        coded.append(to_code(plane) if linear else numpy.clip(plane, 0, 1))
    colours = numpy.stack(coded, -1)
    if opacity is not None:
        colours = colours * opacity[..., None] + 1 - opacity[..., None]
    return numpy.round(colours * 255).astype(numpy.uint8).tobytes()


class Judge:
    """Scores renditions; keeps the references in `folder`."""

    def __init__(self, folder, program):
        self.folder, self.program = pathlib.Path(folder), program
        self.folder.mkdir(parents=True, exist_ok=True)

    def references(self, source, size):
        stem = f"{pathlib.Path(source).name}-{pathlib.Path(source).stat().st_size}-{size[0]}x{size[1]}"
        paths = [self.folder / f"{stem}-{space}" for space in ("linear", "gamma")]
        if not all(path.exists() for path in paths):
            image = upright(source)
            for path, linear in zip(paths, (True, False)):
                path.write_bytes(reduced(image, size, linear))
        return paths

    def scores(self, pairs):
        """SSIMULACRA2 of (source, rendition) pairs against both references: a list of pairs."""
        lines = []
        for source, rendition in pairs:
            image = Image.open(rendition)
            raw = self.folder / f"rendition-{len(lines)}"
            raw.write_bytes(on_white(image))
            for reference in self.references(source, image.size):
                lines.append("\t".join(map(str, (*image.size, reference, raw))))
        ran = subprocess.run([self.program], input="\n".join(lines), check=True, capture_output=True, text=True)
        for raw in self.folder.glob("rendition-*"):
            raw.unlink()
        figures = [float(line) for line in ran.stdout.split()]
        return list(zip(figures[::2], figures[1::2]))
