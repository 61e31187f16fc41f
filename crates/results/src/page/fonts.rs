//! The letters of the page: a subset of the bundled font, and the reader's own font for CJK.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef};
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Filter, Finish, Name, Pdf, Rect, Ref, Str};
use subsetter::GlyphRemapper;

use super::sheet::{Refs, deflated};

const FILE: &[u8] = include_bytes!("../../assets/Inter-Regular-subset.otf");
static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(FILE).expect("the bundled font is a font; a test writes with it"));

/// Resource names in the page's content.
pub(super) const LETTERS: &[u8] = b"L";
pub(super) const CJK: &[u8] = b"C";
const IDENTITY: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
const LETTERS_NAME: &[u8] = b"DOKUEI+Inter-Regular";

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
    glyphs: GlyphRemapper,
    /// By new glyph number: the character and its advance in 1/1000 em.
    letters: Vec<(char, f32)>,
    ideographs: Vec<char>,
}

impl Fonts {
    pub(super) fn new(script: Script) -> Self {
        // The subset begins with the glyph for what is missing.
        Self { script, glyphs: GlyphRemapper::new(), letters: vec![('\0', 0.0)], ideographs: Vec::new() }
    }

    /// Encodes a text. What neither font has is left out; [`can_write`] tells beforehand.
    pub(super) fn runs(&mut self, text: &str) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for character in text.chars() {
            let (font, codes) = match glyph(character) {
                Some(glyph) => (LETTERS, self.letter(character, glyph).to_be_bytes().to_vec()),
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

    fn letter(&mut self, character: char, glyph: u16) -> u16 {
        let new = self.glyphs.remap(glyph);
        if usize::from(new) == self.letters.len() {
            self.letters.push((character, advance(character) * 1000.0));
        }
        new
    }

    /// Writes the fonts; whether the page needs [`CJK`].
    pub(super) fn write(self, pdf: &mut Pdf, refs: &mut Refs, letters: Ref, cjk: Ref) -> bool {
        self.write_letters(pdf, refs, letters);
        if self.ideographs.is_empty() {
            return false;
        }
        self.write_cjk(pdf, refs, cjk);
        true
    }

    fn write_letters(&self, pdf: &mut Pdf, refs: &mut Refs, id: Ref) {
        let [cid, descriptor, file, unicode] = refs.next_many();
        let name = Name(LETTERS_NAME);
        pdf.type0_font(id)
            .base_font(name)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(cid)
            .to_unicode(unicode);
        let mut font = pdf.cid_font(cid);
        font.subtype(CidFontType::Type0).base_font(name).system_info(IDENTITY).font_descriptor(descriptor);
        font.widths().consecutive(0, self.letters.iter().map(|(_, width)| *width));
        font.finish();
        let em = FONT.units_per_em().unwrap_or(1000.0) / 1000.0;
        let (ascent, descent) = (FONT.ascent_unscaled() / em, FONT.descent_unscaled() / em);
        pdf.font_descriptor(descriptor)
            .name(name)
            .flags(FontFlags::SYMBOLIC)
            .bbox(Rect::new(-800.0, descent, 2600.0, ascent))
            .italic_angle(0.0)
            .ascent(ascent)
            .descent(descent)
            .cap_height(727.0)
            .stem_v(80.0)
            .font_file3(file);
        let program = subsetter::subset(FILE, 0, &self.glyphs).unwrap_or_default();
        let program = deflated(outlines(&program));
        pdf.stream(file, &program).filter(Filter::FlateDecode).pair(Name(b"Subtype"), Name(b"CIDFontType0C"));
        let mut cmap = UnicodeCmap::new(Name(b"Dokuei-Letters"), IDENTITY);
        for (code, (character, _)) in self.letters.iter().enumerate().skip(1) {
            cmap.pair(u16::try_from(code).unwrap_or(u16::MAX), *character);
        }
        pdf.cmap(unicode, &deflated(&cmap.finish())).filter(Filter::FlateDecode);
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

/// Width of a text in ems.
pub(super) fn width(text: &str) -> f32 {
    text.chars().map(advance).sum()
}

/// Whether every character can be shown.
pub(super) fn can_write(text: &str) -> bool {
    text.chars().all(|character| glyph(character).is_some() || is_cjk(character))
}

fn glyph(character: char) -> Option<u16> {
    Some(FONT.glyph_id(character).0).filter(|glyph| *glyph != 0)
}

fn advance(character: char) -> f32 {
    let id = FONT.glyph_id(character);
    match character {
        _ if id.0 != 0 => FONT.h_advance_unscaled(id) / FONT.units_per_em().unwrap_or(1000.0),
        '\u{ff61}'..='\u{ffdc}' => 0.5,
        _ if is_cjk(character) => 1.0,
        _ => 0.0,
    }
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

/// The CFF table of an OpenType font, which is what PDF embeds (ISO 32000-1 § 9.9, OpenType § 4.1.1).
fn outlines(font: &[u8]) -> &[u8] {
    const DIRECTORY: usize = 12;
    let number = |bytes: Option<&[u8]>| {
        let bytes: Option<[u8; 4]> = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes).and_then(|value| usize::try_from(value).ok())
    };
    let tables = font.get(DIRECTORY..).unwrap_or_default();
    let cff = tables.as_chunks::<16>().0.iter().find(|record| record.starts_with(b"CFF "));
    let place = cff.and_then(|record| Some((number(record.get(8..12))?, number(record.get(12..16))?)));
    place.and_then(|(offset, length)| font.get(offset..offset.checked_add(length)?)).unwrap_or_default()
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
        ] {
            assert!(can_write(text), "{text}");
        }
        for text in ["قباني", "שרון", "ไทย"] {
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
        assert_eq!(runs[0], Run { font: LETTERS, codes: vec![0, 1, 0, 2] });
        assert_eq!(runs[1], Run { font: CJK, codes: vec![0x5c, 0x71] });
        assert_eq!(runs[2].codes, [0, 1]);
        let program = subsetter::subset(FILE, 0, &fonts.glyphs).unwrap();
        // Header of CFF: major version 1.
        assert_eq!(outlines(&program).first(), Some(&1));
        assert!(outlines(&program).len() < 4_000);
    }
}
