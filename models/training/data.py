"""Images, labels, patient splits, augmentation and the sampling that removes shortcuts."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

SIZE = 224
CELLS = SIZE // 16
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
# Findings whose boxes teach the map where an opacity lies.
OPACITIES = ("Atelectasis", "Consolidation", "Effusion", "Infiltration", "Mass", "Pneumonia")
# The source whose normals have a tone of their own; balanced apart from the rest.
TONE_SOURCE = "muhammedtalo"
# Seeds that `dokuei demo` draws from.
DEMONSTRATED = range(9000, 9020)
# Groups whose scores should not differ: what tells them apart is a source or a view, no disease.
LEAKS = (
    (("toned", "PA", "normal"), ("rest", "PA", "normal")),
    (("toned", "AP", "normal"), ("rest", "AP", "normal")),
    (("toned", "AP", "positive"), ("toned", "PA", "positive")),
    (("rest", "AP", "positive"), ("rest", "PA", "positive")),
    (("rest", "AP", "other"), ("rest", "PA", "other")),
)


@dataclass
class Case:
    """One image with what is known of it."""

    path: Path
    patient: str
    positive: bool
    split: str  # train or val
    group: tuple = ()  # sampling cell, each with a fixed share: (source, view, class) in NIH
    row: dict = field(default_factory=dict)
    boxes: list = field(default_factory=list)  # of opacities: x, y, width, height in 0..1
    findings: np.ndarray | None = None  # each of FINDINGS, then any of them: 0 or 1; NIH only
    mask: Path | None = None


def rows(folder: Path) -> list[dict]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def share(patient: str) -> float:
    """A fixed number in 0..1 for a patient, so that splits never depend on order or seed."""
    digest = hashlib.sha256(patient.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def fold(patient: str, count: int) -> int:
    """Which of `count` parts of the training patients a patient belongs to."""
    return int(share(patient + ":fold") * count)


def nih(folder: Path) -> list[Case]:
    cases = []
    for row in rows(folder):
        positive = row["cls"] in ("pneumonia", "opacity")
        names = row["labels"].split("|")
        found = [name in names for name in FINDINGS]
        marked = json.loads(row["boxes"] or "[]")
        source = "toned" if TONE_SOURCE in row["sources"] else "rest"
        cases.append(
            Case(
                path=folder / "images" / row["file"],
                patient=row["patient"],
                positive=positive,
                split=row["split"],
                group=(source, row["view"], "positive" if positive else row["cls"]),
                row=row,
                findings=np.array([*found, row["cls"] != "normal"], np.float32),
                boxes=[place for name, *place in marked if name in OPACITIES],
            )
        )
    return cases


def kermany(folder: Path) -> list[Case]:
    """Chests of children, from one hospital. No finding is learnt from them."""
    return [
        Case(folder / "images" / row["file"], row["patient"], row["cls"] != "normal", row["split"], row=row)
        for row in rows(folder)
    ]


def phantoms(folder: Path) -> list[Case]:
    """Computed radiographs; a fifth, chosen by seed, and what is demonstrated stay out of training."""
    cases = []
    for row in rows(folder):
        patient, positive = f"phantom:{row['seed']}", row["label"] == "1"
        shown = int(row["seed"]) in DEMONSTRATED
        split = "val" if shown or share(patient) < 0.2 else "train"
        case = Case(folder / row["file"], patient, positive, split, (positive,), row)
        case.mask = folder / row["mask"] if row["mask"] else None
        cases.append(case)
    return cases


def nih_share(group: tuple) -> float:
    """Positives and negatives of a source and a view weigh the same, so neither is a cue."""
    source, view, kind = group
    weight = (0.35 if source == "toned" else 0.65) * (0.4 if view == "AP" else 0.6)
    if kind == "positive" or source == "toned":
        return weight * 0.5
    normal = 0.4 if view == "PA" else 0.2  # more than there are: they tell tone from health
    return weight * 0.5 * (normal if kind == "normal" else 1 - normal)


def members(cases) -> dict:
    """Numbers of the cases of each group."""
    out = defaultdict(list)
    for at, case in enumerate(cases):
        out[case.group].append(at)
    return out


def evenly(_group: tuple) -> float:
    """Every group weighs the same."""
    return 1.0


def read_gray(path: Path) -> Image.Image:
    """8-bit gray, MONOCHROME2 orientation."""
    image = Image.open(path)
    if image.mode in ("I", "I;16", "F"):
        values = np.asarray(image, np.float32) / 257.0
        return Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))
    return image.convert("L")


def shrink(image: Image.Image) -> Image.Image:
    """Large images squashed to 512 x 512: enough for every view of them, and quick to turn."""
    return image if max(image.size) <= 512 else image.resize((512, 512), Image.Resampling.BILINEAR)


def to_input(image: Image.Image) -> np.ndarray:
    """What deployment does: squash to the input size, antialiased bilinear, unrounded. [SIZE, SIZE] float, 0 to 255."""
    return np.asarray(image.convert("F").resize((SIZE, SIZE), Image.Resampling.BILINEAR))


PLAIN = (0.0, (0.0, 0.0, 1.0, 1.0))  # geometry of the whole image


def augment(image: Image.Image, random: np.random.Generator):
    """A varied view [SIZE, SIZE] uint8 and the geometry that made it (angle, box in 0..1)."""
    # Geometry: small rotation, crop or border, aspect of the body (squashed sets differ in it).
    angle = float(random.normal(0, 2.5))
    scale = float(np.exp(random.uniform(np.log(0.80), np.log(1.10))))
    aspect = float(np.exp(random.normal(0, 0.08)))
    bw, bh = scale * aspect**0.5, scale / aspect**0.5
    cx, cy = 0.5 + random.uniform(-0.06, 0.06), 0.5 + random.uniform(-0.06, 0.06)
    box = (cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2)
    view = place(image, angle, box, SIZE, Image.Resampling.BILINEAR)
    # Softness: blurred, coarser or sharpened, because sources differ in it.
    kind = random.random()
    if kind < 0.35:
        view = view.filter(ImageFilter.GaussianBlur(float(random.uniform(0.4, 1.9))))
    elif kind < 0.5:
        small = int(SIZE * random.uniform(0.55, 0.9))
        view = view.resize((small, small), Image.Resampling.BILINEAR)
        view = view.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    elif kind < 0.7:
        percent = int(random.uniform(40, 200))
        view = view.filter(ImageFilter.UnsharpMask(float(random.uniform(1.1, 4.3)), percent, 0))
    if random.random() < 0.2:
        buffer = io.BytesIO()
        view.save(buffer, "JPEG", quality=int(random.uniform(30, 80)))
        view = Image.open(buffer)
    # Tone: gamma, an S or inverse S curve, window edges that clip.
    x = np.asarray(view, np.float32) / 255.0
    low, high = random.uniform(-0.05, 0.10), random.uniform(0.85, 1.10)
    x = np.clip((x - low) / (high - low), 0, 1) ** np.exp(random.normal(0, 0.35))
    bend = random.uniform(-0.5, 0.6)
    x = x + bend * x * (1 - x) * (2 * x - 1)
    if random.random() < 0.5:
        x = x + random.normal(0, random.uniform(0.003, 0.03), x.shape)
    # Collimated edges and burned-in letters.
    if random.random() < 0.3:
        for side in range(4):
            if random.random() < 0.4:
                cut = int(random.uniform(2, 16))
                np.rot90(x, side)[:cut] = random.uniform(0, 0.08)
    for _ in range(random.integers(0, 3) if random.random() < 0.4 else 0):
        h, w = int(random.uniform(4, 12)), int(random.uniform(4, 28))
        top = int(random.uniform(0, SIZE * 0.25))
        left = int(random.uniform(0, SIZE - w))
        stamp = random.random((h, w)) < 0.5
        x[top : top + h, left : left + w][stamp] = random.uniform(0.75, 1.0)
    return (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8), (angle, box)


def place(image, angle, box, size, filter_):
    """Rotates, then maps `box` (0..1 of the image, may reach outside) to a square of `size`."""
    width, height = image.size
    margin = int(0.2 * max(width, height))
    canvas = Image.new(image.mode, (width + 2 * margin, height + 2 * margin))
    canvas.paste(image.rotate(angle, Image.Resampling.BILINEAR), (margin, margin))
    x0, y0, x1, y1 = box
    region = (
        margin + x0 * width,
        margin + y0 * height,
        margin + x1 * width,
        margin + y1 * height,
    )
    return canvas.resize((size, size), filter_, box=region)


def place_target(case: Case, geometry) -> np.ndarray:
    """How much of each cell of the map is opacity, [CELLS, CELLS] in 0..1; zeros where nobody marked it."""
    angle, (x0, y0, x1, y1) = geometry
    if case.mask is not None:
        mask = place(shrink(read_gray(case.mask)), angle, (x0, y0, x1, y1), CELLS, Image.Resampling.BOX)
        return np.asarray(mask, np.float32) / 255.0
    target = np.zeros((CELLS, CELLS), np.float32)
    for x, y, w, h in case.boxes:
        left, right = ((v - x0) / (x1 - x0) * CELLS for v in (x, x + w))
        top, bottom = ((v - y0) / (y1 - y0) * CELLS for v in (y, y + h))
        target = np.maximum(target, np.outer(covered(top, bottom), covered(left, right)))
    return target


def covered(start: float, end: float) -> np.ndarray:
    """How much of each cell of a line lies between `start` and `end`."""
    cell = np.arange(CELLS, dtype=np.float32)
    return np.clip(np.minimum(cell + 1, end) - np.maximum(cell, start), 0, 1).astype(np.float32)


def views(cases: list[Case], count: int, seed: int):
    """Yields (view [SIZE, SIZE], place target): the plain image of each case, then varied ones."""

    def one(job):
        number, view = job
        image = shrink(read_gray(cases[number].path))
        if view == 0:
            return to_input(image), place_target(cases[number], PLAIN)
        random = np.random.default_rng([seed, number, view])
        pixels, geometry = augment(image, random)
        return pixels, place_target(cases[number], geometry)

    jobs = [(number, view) for number in range(len(cases)) for view in range(count)]
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(one, jobs)
