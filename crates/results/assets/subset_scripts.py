"""Makes NotoSans-scripts-subset.ttf: Hebrew, Arabic and Thai letters for the page.

    apt-get download fonts-noto-core
    dpkg-deb -x fonts-noto-core_*.deb fonts
    pip install fonttools
    python3 subset_scripts.py fonts/usr/share/fonts/truetype/noto

Arabic letters come in the forms that join (Unicode's presentation forms), which ../src/page/shaping.rs chooses. Of the Thai
marks above a letter there are copies further left, for letters with a stem, and higher, for marks above a mark, and of letters
that reach below the line the forms that leave room for a vowel there: in the private use area, by the numbers that file has too.
"""

import sys
import tempfile
from pathlib import Path

from fontTools import merge, subset
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont

HERE = Path(__file__).resolve().parent
# Letters of Persian and Urdu by their first form; those of Arabic stand in a row, and so do numerals.
FORMS = [0xFB56, 0xFB7A, 0xFB8A, 0xFB8E, 0xFB92, 0xFBFC, 0xFBA4, 0xFBA6, 0xFB66, 0xFB88, 0xFB8C, 0xFB9E, 0xFBAA, 0xFBAE]
FONTS = {
    "NotoSansHebrew-Regular.ttf": [*range(0x5D0, 0x5EB), *range(0x5F0, 0x5F5), 0x5BE],
    "NotoSansArabic-Regular.ttf": [
        *(form + i for form in FORMS for i in range(4)),
        *range(0xFE80, 0xFEFD),
        *range(0x660, 0x66A),
        *range(0x6F0, 0x6FA),
        *(0x60C, 0x61B, 0x61F, 0x640),
    ],
    "NotoSansThai-Regular.ttf": [*range(0xE01, 0xE3B), *range(0xE40, 0xE5C)],
}
UPPER = [0xE31, 0xE34, 0xE35, 0xE36, 0xE37, 0xE47, 0xE4D, 0xE48, 0xE49, 0xE4A, 0xE4B, 0xE4C]
# First character of the copies, and how far they are moved in 1/1000 em.
MOVED = {0xF100: (-110, 0), 0xF110: (0, 215), 0xF120: (-110, 215)}
# First character of the letters with room below, and their glyphs.
ROOM_BELOW = 0xF130
WITH_ROOM = ["uni0E0D.less", "uni0E10.less"]


def parts(folder: Path, to: Path) -> list[str]:
    paths = []
    for name, unicodes in FONTS.items():
        options = subset.Options(
            layout_features=[], hinting=False, notdef_outline=True, glyph_names=True, name_IDs=[0, 13]
        )
        font = subset.load_font(str(folder / name), options)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=unicodes, glyphs=[name for name in WITH_ROOM if name in font.getGlyphOrder()])
        subsetter.subset(font)
        for tag in ("GSUB", "GPOS", "GDEF", "meta"):
            if tag in font:
                del font[tag]
        subset.save_font(font, str(to / name), options)
        paths.append(str(to / name))
    return paths


def add_moved_marks(font: TTFont) -> None:
    names = font.getBestCmap()
    order = font.getGlyphOrder()
    for first, move in MOVED.items():
        for index, mark in enumerate(UPPER):
            pen = TTGlyphPen(font.getGlyphSet())
            pen.addComponent(names[mark], (1, 0, 0, 1, *move))
            glyph = pen.glyph()
            name = f"uni{first + index:04X}"
            order.append(name)
            font.setGlyphOrder(order)
            font["glyf"][name] = glyph
            glyph.recalcBounds(font["glyf"])
            font["hmtx"][name] = (0, glyph.xMin)
            for table in font["cmap"].tables:
                table.cmap[first + index] = name


def add_letters_with_room(font: TTFont) -> None:
    for index, name in enumerate(WITH_ROOM):
        for table in font["cmap"].tables:
            table.cmap[ROOM_BELOW + index] = name


def main(folder: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        font = merge.Merger().merge(parts(Path(folder), Path(scratch)))
    add_moved_marks(font)
    add_letters_with_room(font)
    font["head"].created = font["head"].modified = 0
    font.recalcTimestamp = False
    font["post"].formatType = 3.0
    font.save(str(HERE / "NotoSans-scripts-subset.ttf"))


if __name__ == "__main__":
    main(sys.argv[1])
