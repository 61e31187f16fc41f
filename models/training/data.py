"""Images, labels, patient splits, augmentation and the sampling that removes shortcuts."""

from __future__ import annotations

import csv
import hashlib
import io
import json
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
# The source whose normals have a tone of their own; balanced apart from the rest.
TONE_SOURCE = "muhammedtalo"


@dataclass
class Case:
    """One image with what is known of it."""

    path: Path
    dataset: str  # nih, kermany, phantom
    patient: str
    positive: bool
    split: str  # train, hold (calibration), val
    group: tuple = ()  # sampling cell: each gets a fixed share
    row: dict = field(default_factory=dict)
    findings: np.ndarray | None = None  # [14] of 0 and 1, NIH only
    boxes: list = field(default_factory=list)  # (map index, x, y, w, h) in 0..1
    mask: Path | None = None


def rows(folder: Path) -> list[dict]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def share(patient: str) -> float:
    """A fixed number in 0..1 for a patient, so that splits never depend on order or seed."""
    digest = hashlib.sha256(patient.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def nih(folder: Path, hold: float) -> list[Case]:
    cases = []
    for row in rows(folder):
        names = row["labels"].split("|")
        positive = row["cls"] in ("pneumonia", "opacity")
        split = row["split"]
        if split == "train" and share(row["patient"]) < hold:
            split = "hold"
        boxes = [
            (1 + FINDINGS.index(name), x, y, w, h)
            for name, x, y, w, h in json.loads(row["boxes"] or "[]")
            if name in FINDINGS
        ]
        toned = TONE_SOURCE in row["sources"]
        cases.append(
            Case(
                path=folder / "images" / row["file"],
                dataset="nih",
                patient=row["patient"],
                positive=positive,
                split=split,
                group=("toned" if toned else "rest", row["view"], positive),
                row=row,
                findings=np.array([name in names for name in FINDINGS], np.float32),
                boxes=boxes,
            )
        )
    return cases


def kermany(folder: Path, per_class: int, seed: int) -> list[Case]:
    """All validation images and `per_class` training images of each class."""
    random = np.random.default_rng(seed)
    cases, train = [], {True: [], False: []}
    for row in rows(folder):
        positive = row["cls"] == "pneumonia"
        path = folder / "images" / row["file"]
        case = Case(path, "kermany", row["patient"], positive, row["split"], (positive,), row)
        (train[positive] if case.split == "train" else cases).append(case)
    for some in train.values():
        cases += [some[i] for i in random.permutation(len(some))[:per_class]]
    return cases


def phantoms(folder: Path) -> list[Case]:
    """Computed radiographs; a fifth, chosen by seed, stays out of training."""
    cases = []
    for row in rows(folder):
        patient, positive = f"phantom:{row['seed']}", row["label"] == "1"
        split = "val" if share(patient) < 0.2 else "train"
        case = Case(folder / row["file"], "phantom", patient, positive, split, (positive,), row)
        case.mask = folder / row["mask"] if row["mask"] else None
        cases.append(case)
    return cases


def nih_share(group: tuple) -> float:
    """Positives and negatives of a source and a view weigh the same, so neither is a cue."""
    source, view, _ = group
    return (0.35 if source == "toned" else 0.65) * (0.4 if view == "AP" else 0.6)


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
    """What deployment does: squash to the input size, antialiased bilinear. [SIZE, SIZE] uint8."""
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


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
        view = view.filter(ImageFilter.GaussianBlur(float(random.uniform(0.3, 1.3))))
    elif kind < 0.5:
        small = int(SIZE * random.uniform(0.55, 0.9))
        view = view.resize((small, small), Image.Resampling.BILINEAR)
        view = view.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    elif kind < 0.7:
        percent = int(random.uniform(40, 200))
        view = view.filter(ImageFilter.UnsharpMask(float(random.uniform(0.8, 3)), percent, 0))
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


def map_target(case: Case, geometry, random) -> tuple[int, np.ndarray]:
    """Which map should look where: (map index or -1, coverage [CELLS, CELLS] in 0..1)."""
    target = np.zeros((CELLS, CELLS), np.float32)
    angle, box = geometry
    if case.mask is not None:
        mask = shrink(read_gray(case.mask))
        mask = place(mask, angle, box, CELLS, Image.Resampling.BOX)
        return 0, np.asarray(mask, np.float32) / 255.0
    if not case.boxes:
        return -1, target
    index = case.boxes[random.integers(len(case.boxes))][0]
    x0, y0, x1, y1 = box
    for _, x, y, w, h in (b for b in case.boxes if b[0] == index):
        left, right = ((v - x0) / (x1 - x0) * CELLS for v in (x, x + w))
        top, bottom = ((v - y0) / (y1 - y0) * CELLS for v in (y, y + h))
        target = np.maximum(target, np.outer(covered(top, bottom), covered(left, right)))
    return (index, target) if target.sum() > 0.3 else (-1, np.zeros_like(target))


def covered(start: float, end: float) -> np.ndarray:
    """How much of each cell of a line lies between `start` and `end`."""
    cell = np.arange(CELLS, dtype=np.float32)
    return np.clip(np.minimum(cell + 1, end) - np.maximum(cell, start), 0, 1).astype(np.float32)


def views(cases: list[Case], count: int, seed: int):
    """Yields (case number, view, map index, map target), `count` augmented views of each case."""
    images = [shrink(read_gray(case.path)) for case in cases]

    def one(job):
        number, view = job
        random = np.random.default_rng([seed, number, view])
        pixels, geometry = augment(images[number], random)
        return number, pixels, *map_target(cases[number], geometry, random)

    jobs = [(number, view) for view in range(count) for number in range(len(cases))]
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(one, jobs, chunksize=1)
