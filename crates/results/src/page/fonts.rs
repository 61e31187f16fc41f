//! The letters of the page: subsets of the bundled fonts, and the reader's own font for CJK.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId};
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Filter, Finish, Name, Pdf, Rect, Ref, Str};
use subsetter::GlyphRemapper;

use super::shaping::{is_made, meaning, shaped};
use super::sheet::{Refs, deflated};

/// A font of ours.
struct Bundled {
    file: &'static [u8],
    font: LazyLock<FontRef<'static>>,
    name: &'static [u8],
}

static LATIN: Bundled = Bundled {
    file: include_bytes!("../../assets/Inter-Regular-subset.otf"),
    font: LazyLock::new(|| font(LATIN.file)),
    name: b"DOKUEI+Inter-Regular",
};
/// Hebrew, Arabic and Thai.
static SCRIPTS: Bundled = Bundled {
    file: include_bytes!("../../assets/NotoSans-scripts-subset.ttf"),
    font: LazyLock::new(|| font(SCRIPTS.file)),
    name: b"DOKUEI+NotoSans-Regular",
};

fn font(file: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(file).expect("the bundled fonts are fonts; a test writes with each")
}

impl Bundled {
    fn glyph(&self, character: char) -> Option<u16> {
        Some(self.font.glyph_id(character).0).filter(|glyph| *glyph != 0)
    }

    /// In ems.
    fn advance(&self, glyph: u16) -> f32 {
        self.font.h_advance_unscaled(GlyphId(glyph)) / self.em()
    }

    fn em(&self) -> f32 {
        self.font.units_per_em().unwrap_or(1000.0)
    }
}

/// Resource names in the page's content: of the bundled fonts, and of the reader's.
static BUNDLED: [(&[u8], &Bundled); 2] = [(b"L", &LATIN), (b"S", &SCRIPTS)];
const CJK: &[u8] = b"C";
const IDENTITY: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// Whose ideographs are drawn; one for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Japanese,
    Korean,
    Chinese,
}

impl Script {
    /// From what only one of them writes, else from the character sets a source declares. Han characters alone in
    /// a set of all scripts are taken for Chinese, whose collection holds all of them.
    pub(super) fn of(text: &str, character_set: &str) -> Self {
        let has = |first: char, last: char| text.chars().any(|c| (first..=last).contains(&c));
        let declares = |terms: &[&str]| terms.iter().any(|term| character_set.contains(term));
        if has('\u{ac00}', '\u{d7af}') || declares(&["IR 149"]) {
            Self::Korean
        } else if has('\u{3041}', '\u{30ff}') || has('\u{ff61}', '\u{ff9f}') || declares(&["IR 87", "IR 159", "IR 13"])
        {
            Self::Japanese
        } else {
            Self::Chinese
        }
    }

    /// Font, encoding, ordering and supplement as ISO 32000-1 Table 118 and Adobe's collections name them.
    fn names(self) -> (&'static [u8], &'static [u8], &'static [u8], i32) {
        match self {
            Self::Japanese => (b"HeiseiKakuGo-W5", b"UniJIS-UTF16-H", b"Japan1", 5),
            Self::Korean => (b"HYGoThic-Medium", b"UniKS-UTF16-H", b"Korea1", 2),
            Self::Chinese => (b"STSong-Light", b"UniGB-UTF16-H", b"GB1", 5),
        }
    }
}

/// Characters of one font, encoded.
#[derive(Debug, PartialEq)]
pub(super) struct Run {
    pub(super) font: &'static [u8],
    pub(super) codes: Vec<u8>,
}

/// What has been written so far.
pub(super) struct Fonts {
    script: Script,
    bundled: [Written; 2],
    ideographs: Vec<char>,
}

impl Fonts {
    pub(super) fn new(script: Script) -> Self {
        Self { script, bundled: BUNDLED.map(|(_, font)| Written::new(font)), ideographs: Vec::new() }
    }

    /// Encodes a text as it is drawn, from left to right. What no font has is left out; [`can_write`] tells beforehand.
    pub(super) fn runs(&mut self, text: &str) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for character in shaped(text).chars() {
            let mut bundled = BUNDLED.iter().zip(&mut self.bundled);
            let known = bundled.find_map(|((resource, font), written)| {
                let glyph = font.glyph(character)?;
                Some((*resource, written.code(character, glyph).to_be_bytes().to_vec()))
            });
            let (font, codes) = match known {
                Some(known) => known,
                None if is_cjk(character) => {
                    self.ideographs.push(character);
                    (CJK, utf16(character))
                }
                None => continue,
            };
            match runs.last_mut() {
                Some(run) if run.font == font => run.codes.extend(codes),
                _ => runs.push(Run { font, codes }),
            }
        }
        runs
    }

    /// Writes the fonts that were used; each with its resource name.
    pub(super) fn write(self, pdf: &mut Pdf, refs: &mut Refs) -> Vec<(&'static [u8], Ref)> {
        let mut names = Vec::new();
        for ((resource, _), written) in BUNDLED.iter().zip(&self.bundled) {
            if written.letters.len() > 1 {
                names.push((*resource, written.write(pdf, refs)));
            }
        }
        if !self.ideographs.is_empty() {
            let [cjk] = refs.next_many();
            self.write_cjk(pdf, refs, cjk);
            names.push((CJK, cjk));
        }
        names
    }

    /// A font the reader brings; what the codes mean is said too, for readers that search or copy.
    fn write_cjk(&self, pdf: &mut Pdf, refs: &mut Refs, id: Ref) {
        let [cid, descriptor, unicode] = refs.next_many();
        let (font, encoding, ordering, supplement) = self.script.names();
        let name = [font, b"-", encoding].concat();
        pdf.type0_font(id)
            .base_font(Name(&name))
            .encoding_predefined(Name(encoding))
            .descendant_font(cid)
            .to_unicode(unicode);
        let info = SystemInfo { registry: Str(b"Adobe"), ordering: Str(ordering), supplement };
        let mut descendant = pdf.cid_font(cid);
        descendant.subtype(CidFontType::Type0).base_font(Name(font)).system_info(info).font_descriptor(descriptor);
        descendant.default_width(1000.0);
        if self.script == Script::Japanese {
            // Half-width katakana in Adobe-Japan1.
            descendant.widths().same(327, 389, 500.0);
        }
        descendant.finish();
        pdf.font_descriptor(descriptor)
            .name(Name(font))
            .flags(FontFlags::SYMBOLIC)
            .bbox(Rect::new(0.0, -120.0, 1000.0, 880.0))
            .italic_angle(0.0)
            .ascent(880.0)
            .descent(-120.0)
            .cap_height(740.0)
            .stem_v(90.0);
        let mut cmap = UnicodeCmap::new(Name(b"Dokuei-CJK"), IDENTITY);
        let mut known = self.ideographs.clone();
        known.sort_unstable();
        known.dedup();
        for character in known {
            if let Ok(code) = u16::try_from(u32::from(character)) {
                cmap.pair(code, character);
            }
        }
        pdf.cmap(unicode, &deflated(&cmap.finish())).filter(Filter::FlateDecode);
    }
}

/// What has been written in one bundled font.
struct Written {
    font: &'static Bundled,
    glyphs: GlyphRemapper,
    /// By new glyph number: the character drawn and its advance in 1/1000 em.
    letters: Vec<(char, f32)>,
}

impl Written {
    fn new(font: &'static Bundled) -> Self {
        // The subset begins with the glyph for what is missing.
        Self { font, glyphs: GlyphRemapper::new(), letters: vec![('\0', 0.0)] }
    }

    fn code(&mut self, character: char, glyph: u16) -> u16 {
        let new = self.glyphs.remap(glyph);
        if usize::from(new) == self.letters.len() {
            self.letters.push((character, self.font.advance(glyph) * 1000.0));
        }
        new
    }

    fn write(&self, pdf: &mut Pdf, refs: &mut Refs) -> Ref {
        let [id, cid, descriptor, file, unicode] = refs.next_many();
        let Bundled { file: bytes, font, name } = self.font;
        let name = Name(name);
        let program = subsetter::subset(bytes, 0, &self.glyphs).unwrap_or_default();
        let cff = outlines(&program);
        pdf.type0_font(id)
            .base_font(name)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(cid)
            .to_unicode(unicode);
        let mut descendant = pdf.cid_font(cid);
        descendant.base_font(name).system_info(IDENTITY).font_descriptor(descriptor);
        match cff {
            Some(_) => descendant.subtype(CidFontType::Type0),
            None => descendant.subtype(CidFontType::Type2).cid_to_gid_map_predefined(Name(b"Identity")),
        };
        descendant.widths().consecutive(0, self.letters.iter().map(|(_, width)| *width));
        descendant.finish();
        let em = self.font.em() / 1000.0;
        let (ascent, descent) = (font.ascent_unscaled() / em, font.descent_unscaled() / em);
        let mut described = pdf.font_descriptor(descriptor);
        described
            .name(name)
            .flags(FontFlags::SYMBOLIC)
            .bbox(Rect::new(-800.0, descent, 2600.0, ascent))
            .italic_angle(0.0)
            .ascent(ascent)
            .descent(descent)
            .cap_height(727.0)
            .stem_v(80.0);
        match cff {
            Some(_) => described.font_file3(file),
            None => described.font_file2(file),
        };
        described.finish();
        let embedded = deflated(cff.unwrap_or(&program));
        let mut stream = pdf.stream(file, &embedded);
        stream.filter(Filter::FlateDecode);
        match cff {
            Some(_) => stream.pair(Name(b"Subtype"), Name(b"CIDFontType0C")),
            None => stream.pair(Name(b"Length1"), i32::try_from(program.len()).unwrap_or(i32::MAX)),
        };
        stream.finish();
        let mut cmap = UnicodeCmap::new(Name(b"Dokuei-Letters"), IDENTITY);
        for (code, (drawn, _)) in self.letters.iter().enumerate().skip(1) {
            let (first, second) = meaning(*drawn);
            cmap.pair_with_multiple(u16::try_from(code).unwrap_or(u16::MAX), std::iter::once(first).chain(second));
        }
        pdf.cmap(unicode, &deflated(&cmap.finish())).filter(Filter::FlateDecode);
        id
    }
}

/// Width of a text in ems.
pub(super) fn width(text: &str) -> f32 {
    shaped(text).chars().map(advance).sum()
}

/// Whether every character can be shown.
pub(super) fn can_write(text: &str) -> bool {
    let is_known =
        |character: char| BUNDLED.iter().any(|(_, font)| font.glyph(character).is_some()) || is_cjk(character);
    !text.chars().any(is_made) && shaped(text).chars().all(is_known)
}

fn advance(character: char) -> f32 {
    let bundled = BUNDLED.iter().find_map(|(_, font)| Some(font.advance(font.glyph(character)?)));
    bundled.unwrap_or(match character {
        '\u{ff61}'..='\u{ffdc}' => 0.5,
        _ if is_cjk(character) => 1.0,
        _ => 0.0,
    })
}

/// Characters of the blocks that the CJK collections cover.
fn is_cjk(character: char) -> bool {
    matches!(character,
        '\u{2e80}'..='\u{2fdf}' | '\u{3000}'..='\u{312f}' | '\u{3131}'..='\u{318e}' | '\u{31a0}'..='\u{33ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{ff01}'..='\u{ffdc}' | '\u{20000}'..='\u{2fa1f}')
}

/// UTF-16, big end first.
fn utf16(character: char) -> Vec<u8> {
    let mut units = [0; 2];
    character.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()).collect()
}

/// The CFF table of an OpenType font, which is what PDF embeds (ISO 32000-1 § 9.9, OpenType § 4.1.1); `None` for a font with
/// TrueType outlines, which is embedded whole.
fn outlines(font: &[u8]) -> Option<&[u8]> {
    const DIRECTORY: usize = 12;
    let number = |bytes: Option<&[u8]>| {
        let bytes: Option<[u8; 4]> = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes).and_then(|value| usize::try_from(value).ok())
    };
    let tables = font.get(DIRECTORY..)?;
    let cff = tables.as_chunks::<16>().0.iter().find(|record| record.starts_with(b"CFF "))?;
    let (offset, length) = (number(cff.get(8..12))?, number(cff.get(12..16))?);
    font.get(offset..offset.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_european_names_are_there_and_others_are_known_to_be_missing() {
        for text in [
            "Müller^Jürgen",
            "Łukasz Żółć",
            "Iвановъ Пётр",
            "Διόνυσος",
            "Nguyễn",
            "山田 太郎",
            "김희중",
            "王小东",
            "ﾔﾏﾀﾞ",
            "قباني لنزار",
            "שרון דבורה",
            "พิมพ์ชนก ปั่น กตัญญู",
            "پگاه گیتی",
        ] {
            assert!(can_write(text), "{text}");
        }
        for text in ["مُحَمَّد", "שָׁרוֹן", "हिन्दी", "ქართული", "\u{f100}"] {
            assert!(!can_write(text), "{text}");
        }
    }

    #[test]
    fn a_script_follows_from_its_letters_and_then_from_the_character_set() {
        assert_eq!(Script::of("山田 たろう", "ISO_IR 192"), Script::Japanese);
        assert_eq!(Script::of("山田", "\\ISO 2022 IR 87"), Script::Japanese);
        assert_eq!(Script::of("金희중", "ISO_IR 192"), Script::Korean);
        assert_eq!(Script::of("王小东", "GB18030"), Script::Chinese);
    }

    #[test]
    fn the_subset_has_outlines() {
        let mut fonts = Fonts::new(Script::Japanese);
        let runs = fonts.runs("aé山a");
        assert_eq!(runs[0], Run { font: b"L", codes: vec![0, 1, 0, 2] });
        assert_eq!(runs[1], Run { font: CJK, codes: vec![0x5c, 0x71] });
        assert_eq!(runs[2].codes, [0, 1]);
        let program = subsetter::subset(LATIN.file, 0, &fonts.bundled[0].glyphs).unwrap();
        let cff = outlines(&program).unwrap();
        // Header of CFF: major version 1.
        assert!(cff.first() == Some(&1) && cff.len() < 4_000);

        let runs = fonts.runs("שש");
        assert_eq!(runs, [Run { font: b"S", codes: vec![0, 1, 0, 1] }]);
        let program = subsetter::subset(SCRIPTS.file, 0, &fonts.bundled[1].glyphs).unwrap();
        assert!(outlines(&program).is_none() && program.len() < 4_000);
    }
}
