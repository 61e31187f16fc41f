//! From a text to what is drawn of it, from left to right: Arabic letters in the forms that join, Thai marks where there is
//! room for them, and Hebrew and Arabic from right to left (UAX #9).
//!
//! A form is a character of its own that the bundled font has a glyph for, so what comes out is a text again;
//! [`meaning`] leads back. Vowel points of Hebrew and Arabic have none, so a text with them cannot be written.

use unicode_bidi::{BidiInfo, Level};

/// The characters to draw, the leftmost first.
pub(super) fn shaped(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.iter().all(|character| !is_shaped(*character)) {
        return text.to_owned();
    }
    let joined: String = joined(&thai(&characters)).into_iter().filter(|character| !is_control(*character)).collect();
    let order = BidiInfo::new(&joined, Some(Level::ltr()));
    let mut drawn = String::with_capacity(joined.len());
    for paragraph in &order.paragraphs {
        let (levels, runs) = order.visual_runs(paragraph, paragraph.range.clone());
        for run in runs {
            let is_right_to_left = levels.get(run.start).is_some_and(Level::is_rtl);
            let text = joined.get(run).unwrap_or_default();
            match is_right_to_left {
                true => drawn.extend(text.chars().rev().map(mirrored)),
                false => drawn.push_str(text),
            }
        }
    }
    drawn
}

/// The one or two characters that a character of [`shaped`] stands for, these from left to right too: programs that copy from
/// a page turn each line around.
pub(super) fn meaning(drawn: char) -> (char, Option<char>) {
    let known = ARABIC.iter().find(|letter| (0..letter.forms()).any(|form| letter.form(form) == Some(drawn)));
    if let Some(letter) = known {
        return (letter.character, None);
    }
    if let Some((alef, _)) = LAM_ALEF.iter().find(|(_, form)| *form == drawn || following(*form, 1) == Some(drawn)) {
        return (*alef, Some(LAM));
    }
    let moved =
        |first: char| THAI_UPPER.into_iter().enumerate().find(|(index, _)| following(first, *index) == Some(drawn));
    if let Some((letter, _)) = THAI_WITH_ROOM.into_iter().find(|(_, with_room)| *with_room == drawn) {
        return (letter, None);
    }
    let mark = [THAI_LEFT, THAI_HIGH, THAI_LEFT_HIGH].into_iter().find_map(moved);
    (mark.map_or(drawn, |(_, mark)| mark), None)
}

/// Whether a character is one that only [`shaped`] makes.
pub(super) fn is_made(character: char) -> bool {
    matches!(character, '\u{f100}'..='\u{f13f}')
}

/// Blocks that need it, and what directs them.
fn is_shaped(character: char) -> bool {
    matches!(character, '\u{590}'..='\u{8ff}' | '\u{e00}'..='\u{e7f}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
        || is_control(character)
}

/// What directs a text, or keeps letters from joining, and is not drawn itself.
fn is_control(character: char) -> bool {
    matches!(character, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn mirrored(character: char) -> char {
    match character {
        '(' => ')',
        ')' => '(',
        '[' => ']',
        ']' => '[',
        '<' => '>',
        '>' => '<',
        other => other,
    }
}

/// An Arabic letter: its form alone is followed by that at the end, and of a letter that joins to the next one by those at the
/// beginning and within (Unicode, Arabic Presentation Forms).
struct Arabic {
    character: char,
    alone: char,
    /// Whether it joins to the next letter too.
    joins_next: bool,
}

const fn both(character: char, alone: char) -> Arabic {
    Arabic { character, alone, joins_next: true }
}

const fn right(character: char, alone: char) -> Arabic {
    Arabic { character, alone, joins_next: false }
}

impl Arabic {
    fn forms(&self) -> usize {
        match (self.character, self.joins_next) {
            ('\u{621}', _) => 1,
            (_, false) => 2,
            (_, true) => 4,
        }
    }

    fn form(&self, form: usize) -> Option<char> {
        following(self.alone, form.min(self.forms() - 1))
    }
}

const ARABIC: [Arabic; 50] = [
    right('\u{621}', '\u{fe80}'),
    right('\u{622}', '\u{fe81}'),
    right('\u{623}', '\u{fe83}'),
    right('\u{624}', '\u{fe85}'),
    right('\u{625}', '\u{fe87}'),
    both('\u{626}', '\u{fe89}'),
    right('\u{627}', '\u{fe8d}'),
    both('\u{628}', '\u{fe8f}'),
    right('\u{629}', '\u{fe93}'),
    both('\u{62a}', '\u{fe95}'),
    both('\u{62b}', '\u{fe99}'),
    both('\u{62c}', '\u{fe9d}'),
    both('\u{62d}', '\u{fea1}'),
    both('\u{62e}', '\u{fea5}'),
    right('\u{62f}', '\u{fea9}'),
    right('\u{630}', '\u{feab}'),
    right('\u{631}', '\u{fead}'),
    right('\u{632}', '\u{feaf}'),
    both('\u{633}', '\u{feb1}'),
    both('\u{634}', '\u{feb5}'),
    both('\u{635}', '\u{feb9}'),
    both('\u{636}', '\u{febd}'),
    both('\u{637}', '\u{fec1}'),
    both('\u{638}', '\u{fec5}'),
    both('\u{639}', '\u{fec9}'),
    both('\u{63a}', '\u{fecd}'),
    both('\u{641}', '\u{fed1}'),
    both('\u{642}', '\u{fed5}'),
    both('\u{643}', '\u{fed9}'),
    both(LAM, '\u{fedd}'),
    both('\u{645}', '\u{fee1}'),
    both('\u{646}', '\u{fee5}'),
    both('\u{647}', '\u{fee9}'),
    right('\u{648}', '\u{feed}'),
    right('\u{649}', '\u{feef}'),
    both('\u{64a}', '\u{fef1}'),
    both('\u{679}', '\u{fb66}'),
    both('\u{67e}', '\u{fb56}'),
    both('\u{686}', '\u{fb7a}'),
    right('\u{688}', '\u{fb88}'),
    right('\u{691}', '\u{fb8c}'),
    right('\u{698}', '\u{fb8a}'),
    both('\u{6a9}', '\u{fb8e}'),
    both('\u{6af}', '\u{fb92}'),
    right('\u{6ba}', '\u{fb9e}'),
    both('\u{6be}', '\u{fbaa}'),
    right('\u{6c0}', '\u{fba4}'),
    both('\u{6c1}', '\u{fba6}'),
    both('\u{6cc}', '\u{fbfc}'),
    right('\u{6d2}', '\u{fbae}'),
];

const LAM: char = '\u{644}';
/// Kashida, a line that joins on both sides.
const TATWEEL: char = '\u{640}';
/// Alefs, and the form of each together with a lam before it; that which joins to the letter before follows.
const LAM_ALEF: [(char, char); 4] =
    [('\u{622}', '\u{fef5}'), ('\u{623}', '\u{fef7}'), ('\u{625}', '\u{fef9}'), ('\u{627}', '\u{fefb}')];

fn arabic(character: char) -> Option<&'static Arabic> {
    ARABIC.iter().find(|letter| letter.character == character)
}

/// Whether it joins to the letter before it.
fn joins_before(character: char) -> bool {
    character == TATWEEL || arabic(character).is_some_and(|letter| letter.forms() > 1)
}

fn joins_next(character: char) -> bool {
    character == TATWEEL || arabic(character).is_some_and(|letter| letter.joins_next)
}

fn joined(text: &[char]) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied().peekable();
    let mut before = None;
    while let Some(character) = rest.next() {
        let is_joined = before.is_some_and(joins_next) && joins_before(character);
        let with_alef = rest.peek().and_then(|next| LAM_ALEF.iter().find(|(alef, _)| alef == next));
        before = Some(character);
        let form = match (arabic(character), with_alef) {
            (Some(Arabic { character: LAM, .. }), Some((_, alone))) => {
                before = rest.next();
                following(*alone, usize::from(is_joined))
            }
            (Some(letter), _) => {
                let goes_on = letter.joins_next && rest.peek().is_some_and(|next| joins_before(*next));
                letter.form(usize::from(is_joined) + 2 * usize::from(goes_on))
            }
            (None, _) => Some(character),
        };
        out.extend(form);
    }
    out
}

/// Marks above a consonant, vowels before tones, as the font has copies of them.
const THAI_UPPER: [char; 12] = [
    '\u{e31}', '\u{e34}', '\u{e35}', '\u{e36}', '\u{e37}', '\u{e47}', '\u{e4d}', '\u{e48}', '\u{e49}', '\u{e4a}',
    '\u{e4b}', '\u{e4c}',
];
const THAI_VOWELS: usize = 7;
/// The first copies: for a consonant with a stem, above a mark, and both (`assets/subset_scripts.py`).
const THAI_LEFT: char = '\u{f100}';
const THAI_HIGH: char = '\u{f110}';
const THAI_LEFT_HIGH: char = '\u{f120}';
/// Consonants with a part below the line, and the forms of them without it, for a vowel there.
const THAI_WITH_ROOM: [(char, char); 2] = [('\u{e0d}', '\u{f130}'), ('\u{e10}', '\u{f131}')];
const SARA_AM: char = '\u{e33}';

fn thai(text: &[char]) -> Vec<char> {
    let place = |character: char| THAI_UPPER.iter().position(|mark| *mark == character);
    let is_below = |character: char| matches!(character, '\u{e38}'..='\u{e3a}');
    let is_vowel = |character: char| place(character).is_some_and(|index| index < THAI_VOWELS);
    let mut base = ' ';
    let mut above = ' ';
    let mut out = Vec::with_capacity(text.len());
    for (index, character) in text.iter().copied().enumerate() {
        let Some(mark) = place(character) else {
            // A vowel below leaves the consonant what it is.
            if !is_below(character) {
                base = character;
            }
            above = ' ';
            let has_below = text.get(index + 1).copied().is_some_and(is_below);
            let with_room = THAI_WITH_ROOM.into_iter().find(|(letter, _)| has_below && *letter == character);
            out.push(with_room.map_or(character, |(_, with_room)| with_room));
            continue;
        };
        let has_stem = matches!(base, '\u{e1b}' | '\u{e1d}' | '\u{e1f}');
        let is_high = mark >= THAI_VOWELS && (is_vowel(above) || text.get(index + 1) == Some(&SARA_AM));
        let first = match (has_stem, is_high) {
            (false, false) => None,
            (true, false) => Some(THAI_LEFT),
            (false, true) => Some(THAI_HIGH),
            (true, true) => Some(THAI_LEFT_HIGH),
        };
        above = character;
        out.push(first.and_then(|first| following(first, mark)).unwrap_or(character));
    }
    out
}

/// The character so many places behind another one.
fn following(first: char, places: usize) -> Option<char> {
    char::from_u32(u32::from(first).checked_add(u32::try_from(places).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(shaped(text).escape_unicode().to_string(), expected.escape_unicode().to_string(), "{text}");
    }

    #[test]
    fn other_scripts_stay_as_they_are() {
        for text in ["Müller Jürgen", "山田 太郎", "Люксембург (2)", ""] {
            check(text, text);
        }
    }

    #[test]
    fn hebrew_runs_from_right_to_left_and_its_surroundings_do_not() {
        check("שרון", "ןורש");
        check("Sharon   שרון דבורה   M", "Sharon   הרובד ןורש   M");
        check("שרון (ב) 12", "12 (ב) ןורש");
    }

    #[test]
    fn arabic_letters_join() {
        // Alone, at the beginning, within, at the end.
        check("ب", "\u{fe8f}");
        check("ببب", "\u{fe90}\u{fe92}\u{fe91}");
        // Qabbani: the alef does not join to what follows it.
        check("قباني", "\u{fef2}\u{fee7}\u{fe8e}\u{fe92}\u{fed7}");
        // Lam and alef are one, which joins before alone: Alaa, Salam.
        check("لا", "\u{fefb}");
        check("سلام", "\u{fee1}\u{fefc}\u{feb3}");
        check("علاء", "\u{fe80}\u{fefc}\u{fecb}");
        // Persian letters, and one kept from joining.
        check("پگاه", "\u{fee9}\u{fe8e}\u{fb95}\u{fb58}");
        check("ب\u{200c}ب", "\u{fe8f}\u{fe8f}");
        check("بـب", "\u{fe90}\u{640}\u{fe91}");
        // Numbers within run as they do elsewhere.
        check("محمد 25", "25 \u{feaa}\u{fee4}\u{fea4}\u{fee3}");
    }

    #[test]
    fn thai_marks_make_room_for_each_other() {
        check("ไทย", "ไทย");
        check("ที่", "ที\u{f117}");
        check("ปี", "ป\u{f102}");
        check("ปั่น", "ป\u{f100}\u{f127}น");
        check("น้ำ", "น\u{f118}ำ");
        check("กุ้ง", "กุ้ง");
        check("ปุ๋ย", "ปุ\u{f10a}ย");
        check("กตัญญู", "กตัญ\u{f130}ู");
    }

    #[test]
    fn every_form_leads_back() {
        for text in ["قباني", "سلام", "پگاه", "محمد", "شرون", "ที่", "ปั่น", "น้ำ", "กตัญญู", "שרון"]
        {
            let mut back: Vec<char> = shaped(text)
                .chars()
                .map(meaning)
                .flat_map(|(first, second)| std::iter::once(first).chain(second))
                .collect();
            if !text.contains(['ท', 'ป', 'น', 'ก']) {
                back.reverse();
            }
            assert_eq!(back.into_iter().collect::<String>(), text);
        }
    }
}
