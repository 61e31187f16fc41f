"""Pictures that a model of frontal chest radiographs should decline, made of such radiographs."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

import data

COUNT = 60  # of each kind


def strangers(cases, seed):
    """Yields (kind, pixels [SIZE, SIZE], 0 to 255)."""
    for number, (kind, make) in enumerate(KINDS.items()):
        for at in range(COUNT):
            random = np.random.default_rng([seed, number, at])

            def draw(random=random):
                case = cases[random.integers(len(cases))]
                return data.read_gray(case.path).resize((data.SIZE, data.SIZE), Image.Resampling.BILINEAR)

            yield kind, np.asarray(make(draw, random), np.float32)


def turned(draw, random):
    return np.rot90(np.asarray(draw()), random.integers(1, 4))


def part(draw, random):
    side = int(data.SIZE * random.uniform(0.15, 0.45))
    left, top = random.integers(0, data.SIZE - side, 2)
    return draw().resize((data.SIZE, data.SIZE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))


def collage(draw, random):
    rows, columns = [(1, 2), (2, 1), (2, 2), (2, 3)][random.integers(4)]
    width, height = data.SIZE // columns + 1, data.SIZE // rows + 1
    out = Image.new("L", (data.SIZE, data.SIZE))
    for row in range(rows):
        for column in range(columns):
            out.paste(draw().resize((width, height)), (column * width, row * height))
    return out


def photograph(draw, random):
    """A film on a light box or a desk, seen from a little aside, with the lines of a sensor and a reflection."""
    size = data.SIZE
    y, x = np.mgrid[0:size, 0:size] / size
    margin = random.uniform(0.12, 0.30) * size
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    seen = margin + corners * (size - 2 * margin) + random.uniform(-0.08, 0.08, (4, 2)) * size
    bend = perspective(seen, corners * size)

    def bent(image):
        image = image.transform((size, size), Image.Transform.PERSPECTIVE, bend, Image.Resampling.BILINEAR)
        return np.asarray(image, np.float32)

    film, inside = bent(draw()), bent(Image.new("L", (size, size), 255)) / 255
    desk = Image.fromarray(random.integers(0, 255, (size, size), np.uint8))
    desk = np.asarray(desk.filter(ImageFilter.GaussianBlur(random.uniform(1, 8))), np.float32)
    desk = random.uniform(0, 255) + (desk - 127) * random.uniform(0.2, 1.5)
    lines = 10 * np.sin(2 * np.pi * (x * random.uniform(20, 70) + y * random.uniform(-40, 40)))
    cx, cy, wide = random.uniform(0, 1), random.uniform(0, 1), random.uniform(0.005, 0.05)
    shine = random.uniform(0, 150) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / wide)
    return np.clip(film * inside + desk * (1 - inside) + lines + shine, 0, 255)


def perspective(seen, flat):
    """Coefficients that Pillow wants: where each point of the photograph lies on the film."""
    rows, values = [], []
    for (x, y), (u, v) in zip(seen, flat, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows), np.array(values)).tolist()


def inverted(draw, _random):
    return 255.0 - np.asarray(draw(), np.float32)


def noise(_draw, random):
    """Clouds of any fineness."""
    waves = np.hypot(np.fft.fftfreq(data.SIZE)[:, None], np.fft.rfftfreq(data.SIZE)[None]) + 1 / data.SIZE
    spectrum = np.fft.rfft2(random.normal(size=(data.SIZE, data.SIZE))) / waves ** random.uniform(0, 2)
    clouds = np.fft.irfft2(spectrum, (data.SIZE, data.SIZE))
    return 255 * (clouds - clouds.min()) / (clouds.max() - clouds.min())


KINDS = {
    "a chest turned by 90, 180 or 270 degrees": turned,
    "a part of a chest, 15 to 45 % of its side": part,
    "several chests side by side": collage,
    "a photograph of a film with what lies around it": photograph,
    "a chest with black and white exchanged": inverted,
    "clouds of noise": noise,
}
