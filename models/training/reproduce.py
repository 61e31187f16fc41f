"""From the data to the package: phantoms, both stages of training, export.

One command; a step whose output is already in the work folder is not done again. See README.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Of each stage: how many phantoms from which seed, and how the training differs from train.py's defaults.
STAGES = (
    (300, 3000, ()),
    (
        360,
        7000,
        ("--seed", 2, "--view-seed", 21, "--views", 3, "--epochs", 4, "--rate", 2e-4, "--new-rate", 3),
    ),
)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nih", type=Path, required=True, help="NIH folder: images/, labels.csv")
    parser.add_argument("--kermany", type=Path, required=True, help="Kermany folder: images/, labels.csv")
    parser.add_argument("--work", type=Path, required=True, help="folder for phantoms and checkpoints")
    parser.add_argument("--package", type=Path, required=True, help="folder of the package")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def run(*command):
    print(*command, flush=True)
    subprocess.run([str(part) for part in command], cwd=HERE.parents[1], check=True)


def main():
    args = arguments()
    data = ("--nih", args.nih.resolve(), "--kermany", args.kermany.resolve())
    work, checkpoints = args.work.resolve(), []
    for number, (count, seed, settings) in enumerate(STAGES, 1):
        phantoms, out = work / f"phantoms-{number}", work / f"stage-{number}"
        if not (phantoms / "labels.csv").exists():
            export = ("cargo", "run", "--release", "-p", "dokuei-phantom", "--example", "export", "--")
            run(*export, phantoms, count, "--size", "320x400", "--seed", seed)
        # Written last, so that a stage that was interrupted is done again.
        if not (out / "settings.json").exists():
            go_on = ("--init", checkpoints[-1]) if checkpoints else ()
            train = (sys.executable, HERE / "train.py", *data, "--phantoms", phantoms, "--out", out)
            run(*train, "--threads", args.threads, *settings, *go_on)
        checkpoints.append(out / "checkpoint.pt")
    package = ("--phantoms", phantoms, "--package", args.package.resolve())
    run(sys.executable, HERE / "export.py", *data, "--checkpoint", *checkpoints, *package)


if __name__ == "__main__":
    main()
