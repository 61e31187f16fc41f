//! Just enough of a PDF reader to see what a page shows.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::ZlibDecoder;

/// What is on a page, in the order in which it is drawn.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Each text with its font's resource name.
    pub(crate) texts: Vec<(String, String)>,
    /// Each closed line, in points from the lower left corner.
    pub(crate) lines: Vec<Vec<[f64; 2]>>,
    /// Left, bottom, width and height of the picture.
    pub(crate) picture: Option<[f64; 4]>,
    /// Its width and height in pixels, and its samples.
    pub(crate) samples: Option<(usize, usize, Vec<u8>)>,
}

impl Page {
    /// Everything written, a text a line.
    pub(crate) fn text(&self) -> String {
        self.texts.iter().map(|(_, text)| format!("{text}\n")).collect()
    }
}

pub(crate) fn read(bytes: &[u8]) -> Page {
    assert!(bytes.starts_with(b"%PDF-1.7") && bytes.trim_ascii_end().ends_with(b"%%EOF"));
    let objects = objects(bytes);
    let body = |id: usize| inflated(&objects[&id].1);
    let fonts: BTreeMap<String, BTreeMap<Vec<u8>, String>> = objects
        .values()
        .filter(|(head, _)| head.contains("/Type /Page\n") || head.contains("/Type /Page "))
        .flat_map(|(head, _)| fonts(head))
        .map(|(name, font)| {
            let unicode = reference(&objects[&font].0, "/ToUnicode");
            (name, cmap(&String::from_utf8(body(unicode)).unwrap()))
        })
        .collect();
    let page = objects.values().find(|(head, _)| head.contains("/MediaBox")).unwrap();
    let mut read = contents(&body(reference(&page.0, "/Contents")), &fonts);
    read.samples = objects.values().find(|(head, _)| head.contains("/Subtype /Image")).map(|(head, data)| {
        let number = |key: &str| -> usize { after(head, key).split_whitespace().next().unwrap().parse().unwrap() };
        (number("/Width"), number("/Height"), inflated(data))
    });
    read
}

/// Head and stream of each object.
fn objects(bytes: &[u8]) -> BTreeMap<usize, (String, Vec<u8>)> {
    let find = |from: usize, what: &[u8]| {
        bytes[from..].windows(what.len()).position(|window| window == what).map(|at| from + at)
    };
    let mut found = BTreeMap::new();
    let mut from = 0;
    while let Some(at) = find(from, b" 0 obj") {
        let start = bytes[..at].iter().rposition(|byte| !byte.is_ascii_digit()).unwrap() + 1;
        let id = std::str::from_utf8(&bytes[start..at]).unwrap().parse().unwrap();
        let end = find(at, b"endobj").unwrap();
        let stream = find(at, b"\nstream\n").filter(|stream| *stream < end);
        let head = String::from_utf8_lossy(&bytes[at + 6..stream.unwrap_or(end)]).into_owned();
        let mut data = Vec::new();
        from = end;
        if let Some(stream) = stream {
            let length: usize = after(&head, "/Length").split_whitespace().next().unwrap().parse().unwrap();
            data = bytes[stream + 8..stream + 8 + length].to_vec();
            from = stream + 8 + length;
        }
        found.insert(id, (head, data));
    }
    found
}

fn after<'a>(text: &'a str, key: &str) -> &'a str {
    &text[text.find(key).unwrap() + key.len()..]
}

fn reference(text: &str, key: &str) -> usize {
    after(text, key).split_whitespace().next().unwrap().parse().unwrap()
}

fn inflated(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ZlibDecoder::new(data).read_to_end(&mut out).unwrap();
    out
}

fn fonts(page: &str) -> Vec<(String, usize)> {
    ["L", "S", "C"]
        .into_iter()
        .filter(|name| page.contains(&format!("/{name} ")))
        .map(|name| (name.to_owned(), reference(page, &format!("/{name} "))))
        .collect()
}

/// Codes and what they mean.
fn cmap(text: &str) -> BTreeMap<Vec<u8>, String> {
    let mut map = BTreeMap::new();
    for block in text.split("beginbfchar").skip(1) {
        for line in block.split("endbfchar").next().unwrap().lines().filter(|line| line.contains('<')) {
            let codes: Vec<Vec<u8>> = line.split(['<', '>']).skip(1).step_by(2).map(hex).collect();
            let units: Vec<u16> = codes[1].as_chunks::<2>().0.iter().map(|b| u16::from_be_bytes(*b)).collect();
            map.insert(codes[0].clone(), String::from_utf16(&units).unwrap());
        }
    }
    map
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn contents(content: &[u8], fonts: &BTreeMap<String, BTreeMap<Vec<u8>, String>>) -> Page {
    let mut page = Page::default();
    let mut operands: Vec<Vec<u8>> = Vec::new();
    let (mut font, mut path) = (String::new(), Vec::new());
    let mut rest = content;
    while let Some((token, tail)) = token(rest) {
        rest = tail;
        let number = |index: usize| -> f64 { String::from_utf8_lossy(&operands[index]).parse().unwrap() };
        match token.as_slice() {
            b"Tf" => font = String::from_utf8_lossy(&operands[0][1..]).into_owned(),
            b"BT" => page.texts.push((String::new(), String::new())),
            b"Tj" => {
                let map = fonts.get(&font).expect("a font of the page");
                let meaning = |code| map.get(code).expect("a code with a meaning").as_str();
                let text: String = operands[0][1..].chunks(2).map(meaning).collect();
                let (names, texts) = page.texts.last_mut().unwrap();
                names.push_str(&font);
                texts.push_str(&text);
            }
            b"m" => path = vec![[number(0), number(1)]],
            b"l" => path.push([number(0), number(1)]),
            b"s" => page.lines.push(std::mem::take(&mut path)),
            b"cm" => page.picture = Some([number(4), number(5), number(0), number(3)]),
            _ if token[0].is_ascii_alphabetic() => {}
            _ => {
                operands.push(token);
                continue;
            }
        }
        operands.clear();
    }
    page
}

/// The next token; strings begin with `(` whatever their form was.
fn token(content: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let content = content.trim_ascii_start();
    match content.first()? {
        b'<' => {
            let end = content.iter().position(|byte| *byte == b'>')?;
            let mut text = vec![b'('];
            text.extend(hex(std::str::from_utf8(&content[1..end]).ok()?));
            Some((text, &content[end + 1..]))
        }
        b'(' => {
            let (mut text, mut at, mut depth) = (vec![b'('], 1, 0);
            loop {
                match content[at] {
                    b')' if depth == 0 => return Some((text, &content[at + 1..])),
                    b'\\' => {
                        at += 1;
                        text.push(match content[at] {
                            b'n' => b'\n',
                            b'r' => b'\r',
                            b't' => b'\t',
                            b'b' => 8,
                            b'f' => 12,
                            b'0'..=b'7' => {
                                let digits = std::str::from_utf8(&content[at..at + 3]).ok()?;
                                at += 2;
                                u8::from_str_radix(digits, 8).ok()?
                            }
                            other => other,
                        });
                    }
                    byte => {
                        // Pairs of parentheses need no escape.
                        depth += i32::from(byte == b'(') - i32::from(byte == b')');
                        text.push(byte);
                    }
                }
                at += 1;
            }
        }
        _ => {
            let end = content.iter().position(u8::is_ascii_whitespace).unwrap_or(content.len());
            Some((content[..end].to_vec(), &content[end..]))
        }
    }
}
