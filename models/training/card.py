"""The model card's text from the figures; nothing in it is typed by hand."""

from __future__ import annotations

from pathlib import Path
from string import Template

import crossvalidate
import evaluate
import export
import familiarity
import learning_curve
import network

HERE = Path(__file__).parent
VALIDATION = "validation patients"
CROSSED = "training patients, cross-validated"
PHANTOMS = "demonstration (phantoms, no figure)"
DECLINED = "declined by the picture alone"
CURVE = "learning curve"


def auroc_rows(figures, prefix=""):
    """Rows (name, figure) of nested AUROC figures."""
    for key, value in figures.items():
        if isinstance(value, dict) and "auroc" in value:
            yield prefix + key, value
        elif isinstance(value, dict):
            yield from auroc_rows(value, f"{key}: ")


def table(heads, rows) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def cell(row) -> str:
    low, high = row["interval95"]
    return f"{row['auroc']} ({low} to {high})"


def comparison_table(validation, crossed) -> str:
    pairs = zip(auroc_rows(validation), auroc_rows(crossed), strict=True)
    rows = [
        (
            name,
            cell(of),
            f"{of['positives']} / {of['negatives']}",
            cell(within),
            f"{within['positives']} / {within['negatives']}",
        )
        for (name, of), (_, within) in pairs
    ]
    return table(["comparison", f"{VALIDATION}: AUROC", "cases", f"{CROSSED}: AUROC", "cases"], rows)


def glance_table(rows, of_what="score") -> str:
    """The figures of a glance, the same columns for each row."""
    heads = [of_what, "against everything else", "against other findings", "against normals, PA"]
    heads += ["leak: toned normals", "leak: view, positives", "leak: view, other findings"]
    return table(heads, [(name, *of.values()) for name, of in rows.items()])


def leaks(figures) -> str:
    """Which leak probes lie outside the range that is taken as clean, in words."""
    found = [
        f"{name} ({row['auroc']} on {patients})"
        for patients in (VALIDATION, CROSSED)
        for name, row in figures[patients][evaluate.LEAKS].items()
        if abs(row["auroc"] - 0.5) > (0.15 if "toned" in name else 0.10)
    ]
    return f"Outside that lie: {'; '.join(found)}." if found else "All of this package lie within."


def band_table(calibration) -> str:
    heads = ["band", "images", "share of all positives"]
    first = next(iter(calibration["bands"].values()))
    heads += [f"positive at {p} prevalence" for p in first["positive share at"]]
    rows = [
        (name, of["images"], of["share of all positives"], *of["positive share at"].values())
        for name, of in calibration["bands"].items()
    ]
    return table(heads, rows)


def threshold_table(calibration) -> str:
    first = next(iter(calibration["thresholds"].values()))
    heads = ["from", "sensitivity", "specificity"]
    heads += [f"{kind} {p}" for kind in ("PPV at", "NPV at") for p in first[kind]]
    rows = [
        (name, of["sensitivity"], of["specificity"], *of["PPV at"].values(), *of["NPV at"].values())
        for name, of in calibration["thresholds"].items()
    ]
    return table(heads, rows)


def pointing_table(pointing) -> str:
    rows = []
    for name, of in pointing.items():
        low, high = of["map less dot"]["interval95"]
        gap = f"{of['map less dot']['difference']} ({low} to {high})"
        rows.append(
            (
                name,
                of["images"],
                of["map's peak in the opacity"],
                of["fixed dot in the opacity"],
                gap,
                of["overlap of the marked region (intersection over union)"],
                of["share of the map in the opacity"],
            )
        )
    heads = [
        "images",
        "number",
        "map's peak inside",
        "fixed dot inside",
        "map less dot",
        "overlap of the marked region",
        "share of the map inside",
    ]
    return table(heads, rows)


def text(figures) -> str:
    validation, crossed = figures[VALIDATION], figures[CROSSED]
    calibration = figures["calibration"]
    names = [name for name in calibration[VALIDATION] if "error" in name or "perfect" in name]
    errors = [(name, calibration[VALIDATION][name], calibration[CROSSED][name]) for name in names]
    fields = {
        "version": export.VERSION,
        "pooled": cell(validation[evaluate.POOLED]),
        "pooled_crossed": cell(crossed[evaluate.POOLED]),
        "others": cell(validation[evaluate.CLEAN][evaluate.OTHERS]),
        "others_crossed": cell(crossed[evaluate.CLEAN][evaluate.OTHERS]),
        "glance": glance_table(figures["glance"]),
        "curve": glance_table(figures[CURVE], "share of the training patients"),
        "draws": learning_curve.DRAWS,
        "leaks": leaks(figures),
        "table": comparison_table(validation, crossed),
        "errors": table(["expected calibration error", VALIDATION, CROSSED], errors),
        "bands": band_table(calibration[VALIDATION]),
        "bands_crossed": band_table(calibration[CROSSED]),
        "thresholds": threshold_table(calibration[VALIDATION]),
        "thresholds_crossed": threshold_table(calibration[CROSSED]),
        "pointing": pointing_table(figures["pointing"]),
        "demonstration": "; ".join(f"{key}: {value}" for key, value in figures[PHANTOMS].items()),
        "declined": table(["images", "declined"], figures[DECLINED].items()),
        "kept": 100 * familiarity.KEPT,
        "axes": familiarity.AXES,
        "square": familiarity.SQUARE,
        "early": network.EARLY,
        "members": network.MEMBERS,
        "member_channels": network.MEMBER_CHANNELS,
        "sharpness": network.SHARPNESS,
        "spots_share": crossvalidate.SPOTS_SHARE,
        "region": evaluate.REGION,
        **{key.replace(" ", "_"): value for key, value in figures["images"].items()},
    }
    return Template((HERE / "MODEL_CARD.md.in").read_text()).substitute(fields)
