//! A page that is written from the top, in points.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use super::fonts::{Fonts, Script};
use super::picture::Reduced;

/// A4.
pub(super) const WIDTH: f32 = 595.0;
pub(super) const HEIGHT: f32 = 842.0;

/// An sRGB colour, each channel 0 to 1.
pub(super) type Ink = [f32; 3];

/// Numbers of PDF objects, in order.
pub(super) struct Refs(Ref);

impl Refs {
    pub(super) fn next_many<const N: usize>(&mut self) -> [Ref; N] {
        std::array::from_fn(|_| self.0.bump())
    }
}

/// The page while it is written. Places are points from its upper left corner.
pub(super) struct Sheet {
    content: Content,
    fonts: Fonts,
    picture: Option<Reduced>,
}

impl Sheet {
    pub(super) fn new(script: Script) -> Self {
        Self { content: Content::new(), fonts: Fonts::new(script), picture: None }
    }

    /// Writes a line whose baseline begins at a place.
    pub(super) fn text(&mut self, [x, y]: [f32; 2], size: f32, ink: Ink, text: &str) {
        let [r, g, b] = ink;
        self.content.begin_text().set_fill_rgb(r, g, b).next_line(x, HEIGHT - y);
        for run in self.fonts.runs(text) {
            self.content.set_font(Name(run.font), size).show(Str(&run.codes));
        }
        self.content.end_text();
    }

    /// Fills a rectangle.
    pub(super) fn fill(&mut self, [x, y]: [f32; 2], [width, height]: [f32; 2], ink: Ink) {
        let [r, g, b] = ink;
        self.content.set_fill_rgb(r, g, b).rect(x, HEIGHT - y - height, width, height).fill_nonzero();
    }

    /// Draws a closed line.
    pub(super) fn outline(&mut self, vertices: &[[f32; 2]], width: f32, ink: Ink) {
        let [r, g, b] = ink;
        self.content.set_stroke_rgb(r, g, b).set_line_width(width);
        for (index, [x, y]) in vertices.iter().enumerate() {
            match index {
                0 => self.content.move_to(*x, HEIGHT - y),
                _ => self.content.line_to(*x, HEIGHT - y),
            };
        }
        if !vertices.is_empty() {
            self.content.close_and_stroke();
        }
    }

    /// Places the one picture of the page.
    pub(super) fn picture(&mut self, [x, y]: [f32; 2], [width, height]: [f32; 2], picture: Reduced) {
        self.content.save_state().transform([width, 0.0, 0.0, height, x, HEIGHT - y - height]);
        self.content.x_object(Name(b"P")).restore_state();
        self.picture = Some(picture);
    }

    /// The whole file; nothing in it depends on when it is written.
    pub(super) fn finish(self, title: &str) -> Vec<u8> {
        let Self { content, fonts, picture } = self;
        let mut pdf = Pdf::new();
        let mut refs = Refs(Ref::new(1));
        let [catalog, pages, page, body, info, image] = refs.next_many();
        pdf.catalog(catalog).pages(pages);
        pdf.pages(pages).kids([page]).count(1);
        pdf.document_info(info).title(TextStr(title)).producer(TextStr("Dokuei"));
        pdf.stream(body, &deflated(&content.finish())).filter(Filter::FlateDecode);
        let fonts = fonts.write(&mut pdf, &mut refs);
        let mut written = pdf.page(page);
        written.parent(pages).media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).contents(body);
        let mut resources = written.resources();
        let mut names = resources.fonts();
        for (name, font) in fonts {
            names.pair(Name(name), font);
        }
        names.finish();
        if picture.is_some() {
            resources.x_objects().pair(Name(b"P"), image);
        }
        resources.finish();
        written.finish();
        if let Some(picture) = picture {
            write_picture(&mut pdf, image, &picture);
        }
        pdf.finish()
    }
}

fn write_picture(pdf: &mut Pdf, id: Ref, picture: &Reduced) {
    let size = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let samples = deflated(&picture.data);
    let mut image = pdf.image_xobject(id, &samples);
    image.filter(Filter::FlateDecode);
    image.width(size(picture.columns)).height(size(picture.rows)).bits_per_component(8);
    match picture.channels {
        1 => image.color_space().device_gray(),
        _ => image.color_space().device_rgb(),
    }
}

/// Compressed as PDF's FlateDecode undoes it.
pub(super) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // A vector takes all that is written.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}
