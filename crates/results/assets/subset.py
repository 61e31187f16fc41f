"""Makes BIZUDPGothic-Regular-subset.ttf: the characters beyond ASCII that the caption's words are made of.

    apt-get download fonts-morisawa-bizud-gothic
    dpkg-deb -x fonts-morisawa-bizud-gothic_*.deb fonts
    pip install fonttools
    python3 subset.py fonts/usr/share/fonts/truetype/bizud-gothic/BIZUDPGothic-Regular.ttf

Run it again after a change of ../src/capture/language.rs; a test names a character that is missing.
"""

import sys
from pathlib import Path

from fontTools import subset

HERE = Path(__file__).resolve().parent
WORDS = HERE.parent / "src" / "capture" / "language.rs"


def main(font: str) -> None:
    used = sorted({ord(c) for c in WORDS.read_text(encoding="utf-8") if ord(c) > 0x7F})
    options = subset.Options(
        layout_features=[], hinting=False, notdef_outline=True, name_IDs=[0, 1, 2, 5, 13, 14], name_languages=[0x409]
    )
    loaded = subset.load_font(font, options)
    loaded.recalcTimestamp = False
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=used)
    subsetter.subset(loaded)
    subset.save_font(loaded, str(HERE / "BIZUDPGothic-Regular-subset.ttf"), options)


if __name__ == "__main__":
    main(sys.argv[1])
