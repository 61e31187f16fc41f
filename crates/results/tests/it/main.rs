//! The result objects as a receiver gets them: written, read back, compared with what went in.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod capture;
mod color_presentation;
mod comparison;
mod conformance;
mod fixtures;
mod identity;
mod key_objects;
mod loop_guard;
mod object_text;
mod objects;
mod page;
mod pdf;
mod presentation;
mod read_back;
mod real;
mod report;
mod segmentation;
