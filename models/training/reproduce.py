"""From the data to the package: phantoms, features, cross-validation, fit, graph, figures, card.

One command; a step whose output is already in the work folder is not done again. See README.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

import card
import data
import evaluate
import export
import familiarity
import features
import learning_curve
import metrics
import occlusion
import spread
import strangers
import train
from crossvalidate import cross_validate, fit
from network import Head, load_trunk

HERE = Path(__file__).resolve().parent
PREVALENCE = 0.5  # that probabilities are stated for
VIEWS = 5  # of each image: the plain one and varied ones
PHANTOMS, PHANTOM_SEED = 240, 9000


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nih", type=Path, required=True, help="NIH folder: images/, labels.csv")
    parser.add_argument("--kermany", type=Path, required=True, help="Kermany folder: images/, labels.csv")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is kept between runs")
    parser.add_argument("--package", type=Path, required=True, help="folder of the package")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def compute_phantoms(folder: Path):
    command = ["cargo", "run", "--release", "-p", "dokuei-phantom", "--example", "export", "--"]
    command += [folder, PHANTOMS, "--size", "320x400", "--seed", PHANTOM_SEED]
    subprocess.run([str(part) for part in command], cwd=HERE.parents[1], check=True)


def of_split(cases, split):
    return [case for case in cases if case.split == split]


def phantom_check(cases, probabilities, maps) -> dict:
    """Do the demonstration's images land where it says? Not a figure of merit."""
    positive = np.array([case.positive for case in cases])
    hits = [
        evaluate.opacity_cells(case)[evaluate.peak(map_)]
        for case, map_ in zip(cases, maps, strict=True)
        if case.mask is not None
    ]
    return {
        "held-out phantoms with opacity": int(positive.sum()),
        "of them at 50 % or more": int((probabilities[positive] >= evaluate.MARKING).sum()),
        "held-out phantoms without": int((~positive).sum()),
        "of them below 30 %": int((probabilities[~positive] < evaluate.BANDS[0]).sum()),
        "map's peak inside the opacity": f"{int(np.sum(hits))} of {len(hits)}",
    }


def familiar_to(trunk, cases, children, computed, work):
    """What the model calls familiar, of training patients alone."""
    some = [case for case in children if data.share(f"{case.patient}:familiar") < familiarity.KERMANY_SHARE]
    sources = {"NIH": (cases, 5), "Kermany": (some, 6), "phantoms": (computed, 7)}
    return familiarity.fit(
        {
            name: familiarity.see(trunk, of_split(part, "train"), seed, work / f"seen-{name}.npz")
            for name, (part, seed) in sources.items()
        }
    )


def declined(scorer, val, children, held_out) -> dict:
    """How many images that no fit saw are declined by the picture alone, counted on the exported graph."""
    adults = [case for case in val if int(case.row["age"]) >= 18]
    under_18 = [case for case in val if int(case.row["age"]) < 18]
    figures = {}
    for name, cases in (
        ("NIH validation patients, 18 or older", adults),
        ("NIH validation patients, under 18", under_18),
        ("Kermany validation patients (children)", of_split(children, "val")),
        ("held-out phantoms", held_out),
    ):
        figures[name] = familiarity.count([scorer.unfamiliarity(export.prepared(case)) > 1 for case in cases])
    kinds = {kind: [] for kind in strangers.KINDS}
    for kind, pixels in strangers.strangers(val, 8):
        kinds[kind].append(scorer.unfamiliarity(pixels[None, None] / 255) > 1)
    return figures | {kind: familiarity.count(found) for kind, found in kinds.items()}


def other_maps(scorer, val, val_maps, dot) -> dict:
    """The map that is shipped against what might be in its place: coarser, or the score's fall where the image is covered."""
    located = [(case, map_) for case, map_ in zip(val, val_maps, strict=True) if evaluate.opacity_cells(case).any()]
    cases = [case for case, _ in located]
    coarse = [evaluate.coarser(map_) for _, map_ in located]
    return {
        "validation, the map at stride 32": evaluate.pointing(cases, coarse, dot),
        f"validation, by occlusion of {occlusion.PATCH} pixels": evaluate.pointing(
            cases, occlusion.maps(scorer, cases), dot
        ),
    }


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    work = args.work.resolve()
    if not (work / "phantoms" / "labels.csv").exists():
        compute_phantoms(work / "phantoms")
    trunk = load_trunk()
    cases, computed = data.nih(args.nih.resolve()), data.phantoms(work / "phantoms")
    children = data.kermany(args.kermany.resolve())
    nih = features.features(trunk, of_split(cases, "train"), VIEWS, 1, work / "nih.pt")
    phantoms = features.features(trunk, of_split(computed, "train"), VIEWS, 3, work / "phantoms.pt")

    # Within the training patients: the weight of each reading, calibration, the scale of the map.
    crossed = cross_validate(trunk, nih, phantoms, work)
    logits, maps = crossed.both()
    positive = np.array([case.positive for case in nih.cases])
    platt = tuple(round(v, 6) for v in metrics.platt(logits, positive, PREVALENCE))
    if platt[0] <= 0:
        raise SystemExit("cross-validation found no relation between logit and truth")
    head = Head(*fit(trunk, nih, phantoms, None, work), *crossed.weights())
    # A place of the map is positive where an image that looks like it all over would be above 50 %, were
    # the spread reading undecided.
    level = head.spots_weight * head.spots_bias + platt[1] / platt[0]
    full_scale = round(float(np.median(maps[positive].max(axis=(1, 2)) + level)), 3)
    if full_scale <= 0:
        raise SystemExit("half of the positives have no evidence above 50 %")
    familiar, beyond = familiar_to(trunk, cases, children, computed, work)
    scorer = export.write(args.package, trunk, head, level, familiar, platt, full_scale)

    # From here on, figures alone.
    val, held_out = of_split(cases, "val"), of_split(computed, "val")
    val_logits, val_maps = scorer.cases(val)
    phantom_logits, phantom_maps = scorer.cases(held_out)
    truth = np.array([case.positive for case in val])
    dot = evaluate.best_dot(nih.cases)
    glance = {
        "this package, validation": evaluate.headline(val, val_logits),
        "this recipe, cross-validation": evaluate.headline(nih.cases, logits),
        "its spot reading alone, cross-validation": evaluate.headline(nih.cases, crossed.spots),
        "its spread reading alone, cross-validation": evaluate.headline(nih.cases, crossed.spread),
    }
    for number, member in enumerate(crossed.members, 1):
        name = f"member {number} of the spot reading alone, cross-validation"
        glance[name] = evaluate.headline(nih.cases, member)
    summaries = features.plain_summaries(trunk, val)
    for name, scores in evaluate.floors(nih.cases, val, nih.summaries[:, 0], summaries).items():
        glance[f"floor: {name}, validation"] = evaluate.headline(val, scores)
    figures = {
        "recipe": {"spot reading": asdict(train.Recipe()), "spread reading": asdict(spread.Recipe())},
        "images": {
            "train": len(nih.cases),
            "train patients": len({case.patient for case in nih.cases}),
            "train under 18": sum(int(case.row["age"]) < 18 for case in nih.cases),
            "validation": len(val),
            "validation patients": len({case.patient for case in val}),
            "phantoms": PHANTOMS,
        },
        card.DECLINED: beyond | declined(scorer, val, children, held_out),
        "glance": glance,
        card.CURVE: learning_curve.curve(nih, phantoms),
        card.CROSSED: evaluate.comparisons(nih.cases, logits),
        card.VALIDATION: evaluate.comparisons(val, val_logits),
        "calibration": {
            "platt": platt,
            card.VALIDATION: evaluate.calibration(probability(platt, val_logits), truth, PREVALENCE),
            card.CROSSED: evaluate.calibration(probability(platt, logits), positive, PREVALENCE),
        },
        "pointing": {
            "cross-validation": evaluate.pointing(nih.cases, maps + level, dot),
            "validation": evaluate.pointing(val, val_maps, dot),
            "phantoms": evaluate.pointing(held_out, phantom_maps, dot),
        }
        | other_maps(scorer, val, val_maps, dot),
        card.PHANTOMS: phantom_check(held_out, probability(platt, phantom_logits), phantom_maps),
    }
    (HERE / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    (args.package / "MODEL_CARD.md").write_text(card.text(figures))
    print(json.dumps(figures, indent=2))


def probability(platt, logits) -> np.ndarray:
    return metrics.sigmoid(platt[0] * np.asarray(logits) + platt[1])


if __name__ == "__main__":
    main()
