//! One scan (T.87 Annex A): each sample is predicted from its neighbours a (left), b (above), c (above
//! left) and d (above right), and the error is Golomb coded in a context of the gradients between them;
//! flat areas are coded as runs.

use super::bit_reader::BitReader;
use super::damaged;
use super::header::{Interleave, ScanHeader};
use super::parameters::Parameters;
use crate::{CodecError, FrameSpec};

/// J: run lengths in bits by run index (T.87 § A.2.1).
const RUN_BITS: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Contexts with gradients: 9 x 9 x 9 signed triples, half of them mirrored.
const CONTEXTS: usize = 365;

/// Statistics of one context: A, B, C and N of the standard.
#[derive(Clone, Copy)]
struct Context {
    magnitudes: i32,
    bias: i32,
    correction: i32,
    count: i32,
}

/// Statistics of one of the two contexts where runs break: A, N and Nn.
#[derive(Clone, Copy)]
struct RunContext {
    magnitudes: i32,
    count: i32,
    negatives: i32,
}

struct Decoder<'a> {
    parameters: Parameters,
    reader: BitReader<'a>,
    contexts: Vec<Context>,
    run_contexts: [RunContext; 2],
    /// Gradients from -max to max, quantised to -4 to 4.
    quantised: Vec<i8>,
}

/// Two lines of one component with a sample of margin on both sides.
struct Lines {
    above: Vec<i32>,
    current: Vec<i32>,
    run_index: usize,
}

/// Decodes a scan into interleaved samples and returns where it ended.
pub(super) fn decode(
    spec: &FrameSpec,
    scan: &ScanHeader,
    data: &[u8],
    samples: &mut [u16],
) -> Result<usize, CodecError> {
    let columns = spec.columns as usize;
    let mut decoder = Decoder::new(scan.parameters, BitReader::new(data, scan.position));
    let blank = || Lines { above: vec![0; columns + 2], current: vec![0; columns + 2], run_index: 0 };
    let mut lines: Vec<Lines> = scan.components.iter().map(|_| blank()).collect();
    let step = usize::from(spec.samples_per_pixel);
    for row in samples.chunks_exact_mut(columns * step) {
        lines.iter_mut().for_each(Lines::advance);
        match scan.interleave {
            Interleave::None | Interleave::Line => {
                lines.iter_mut().try_for_each(|lines| decoder.line(lines))?;
            }
            Interleave::Sample => decoder.line_of_pixels(&mut lines)?,
        }
        for (component, lines) in scan.components.iter().zip(&lines) {
            let slots = row.iter_mut().skip(*component).step_by(step);
            // Samples are clamped to MAXVAL, which is at most 16 bits.
            let values = lines.current[1..=columns].iter().map(|value| u16::try_from(*value).unwrap_or_default());
            slots.zip(values).for_each(|(slot, value)| *slot = value);
        }
    }
    Ok(decoder.reader.position())
}

impl Lines {
    /// Makes the current line the one above and sets the margins (T.87 § A.2.1): left of the new line is
    /// the sample above it, right of the line above its own last sample repeats.
    fn advance(&mut self) {
        std::mem::swap(&mut self.above, &mut self.current);
        let last = self.above.len() - 1;
        self.above[last] = self.above[last - 1];
        self.current[0] = self.above[1];
    }

    #[inline]
    fn neighbours(&self, column: usize) -> [i32; 4] {
        [self.current[column - 1], self.above[column], self.above[column - 1], self.above[column + 1]]
    }

    fn columns(&self) -> usize {
        self.current.len() - 2
    }
}

impl<'a> Decoder<'a> {
    fn new(parameters: Parameters, reader: BitReader<'a>) -> Self {
        let magnitudes = ((parameters.range + 32) / 64).max(2);
        let context = Context { magnitudes, bias: 0, correction: 0, count: 1 };
        let run = RunContext { magnitudes, count: 1, negatives: 0 };
        let quantised = (-parameters.max..=parameters.max).map(|gradient| quantise(&parameters, gradient)).collect();
        Self { parameters, reader, contexts: vec![context; CONTEXTS], run_contexts: [run; 2], quantised }
    }

    /// The context of a sample (T.87 § A.3.4) and the sign its error has there; index 0 is a run.
    #[inline]
    fn context(&self, [a, b, c, d]: [i32; 4]) -> (usize, i32) {
        let level = |gradient: i32| {
            let index = usize::try_from(gradient + self.parameters.max).unwrap_or_default();
            i32::from(self.quantised.get(index).copied().unwrap_or_default())
        };
        let index = (level(d - b) * 9 + level(b - c)) * 9 + level(c - a);
        (index.unsigned_abs() as usize, if index < 0 { -1 } else { 1 })
    }

    /// One line of one component.
    fn line(&mut self, lines: &mut Lines) -> Result<(), CodecError> {
        let columns = lines.columns();
        let mut column = 1;
        while column <= columns {
            let neighbours = lines.neighbours(column);
            let (context, sign) = self.context(neighbours);
            if context != 0 {
                lines.current[column] = self.regular(context, sign, neighbours)?;
                column += 1;
                continue;
            }
            let run = self.run(columns + 1 - column, &mut lines.run_index)?;
            lines.current[column..column + run].fill(neighbours[0]);
            column += run;
            if column > columns {
                break;
            }
            let [a, b, ..] = lines.neighbours(column);
            lines.current[column] = self.break_of_run(a, b, lines.run_index, true)?;
            lines.run_index = lines.run_index.saturating_sub(1);
            column += 1;
        }
        Ok(())
    }

    /// One line of all components, pixel by pixel (T.87 § B.3): a run needs all of them to be flat.
    fn line_of_pixels(&mut self, lines: &mut [Lines]) -> Result<(), CodecError> {
        let columns = lines[0].columns();
        let mut column = 1;
        while column <= columns {
            let flat = lines.iter().all(|lines| self.context(lines.neighbours(column)).0 == 0);
            if !flat {
                for lines in lines.iter_mut() {
                    let neighbours = lines.neighbours(column);
                    let (context, sign) = self.context(neighbours);
                    lines.current[column] = self.regular(context, sign, neighbours)?;
                }
                column += 1;
                continue;
            }
            let mut run_index = lines[0].run_index;
            let run = self.run(columns + 1 - column, &mut run_index)?;
            for lines in lines.iter_mut() {
                let value = lines.current[column - 1];
                lines.current[column..column + run].fill(value);
            }
            column += run;
            if column <= columns {
                for lines in lines.iter_mut() {
                    let [a, b, ..] = lines.neighbours(column);
                    lines.current[column] = self.break_of_run(a, b, run_index, false)?;
                }
                run_index = run_index.saturating_sub(1);
                column += 1;
            }
            lines[0].run_index = run_index;
        }
        Ok(())
    }

    /// A sample in a context with gradients (T.87 § A.4 to A.6).
    #[inline]
    fn regular(&mut self, index: usize, sign: i32, [a, b, c, _]: [i32; 4]) -> Result<i32, CodecError> {
        let Parameters { near, reset, max, .. } = self.parameters;
        let context = &mut self.contexts[index];
        let edge = if c >= a.max(b) {
            a.min(b)
        } else if c <= a.min(b) {
            a.max(b)
        } else {
            a + b - c
        };
        let prediction = (edge + sign * context.correction).clamp(0, max);
        let k = golomb_parameter(context.count, context.magnitudes);
        let code = golomb(&mut self.reader, &self.parameters, k, self.parameters.limit)?;
        let folded = if code % 2 == 0 { code / 2 } else { -(code + 1) / 2 };
        // Errors are folded the other way round where negative ones are the more frequent.
        let turned = near == 0 && k == 0 && 2 * context.bias <= -context.count;
        let error = if turned { -1 - folded } else { folded };
        context.update(error, 2 * near + 1, reset);
        Ok(self.parameters.reconstructed(prediction, sign * error))
    }

    /// The length of a run, at most `room` (T.87 § A.7.1). Afterwards `run_index` is the one that the
    /// sample breaking the run is coded with.
    fn run(&mut self, room: usize, run_index: &mut usize) -> Result<usize, CodecError> {
        let mut length = 0;
        while self.reader.bits(1)? == 1 {
            let step = 1 << RUN_BITS[*run_index];
            let fits = room - length;
            length += fits.min(step);
            if step <= fits {
                *run_index = (*run_index + 1).min(31);
            }
            if length == room {
                return Ok(length);
            }
        }
        length += self.reader.bits(RUN_BITS[*run_index])? as usize;
        if length >= room {
            return Err(damaged("a run over the end of its line"));
        }
        Ok(length)
    }

    /// The sample that breaks a run (T.87 § A.7.2). With several components in a pixel the context of
    /// equal neighbours is not used.
    fn break_of_run(&mut self, a: i32, b: i32, run_index: usize, single: bool) -> Result<i32, CodecError> {
        let equal = single && (a - b).abs() <= self.parameters.near;
        let kind = i32::from(equal);
        let context = &mut self.run_contexts[usize::from(equal)];
        let weight = context.magnitudes + if equal { context.count >> 1 } else { 0 };
        let k = golomb_parameter(context.count, weight);
        let limit = self.parameters.limit - RUN_BITS[run_index] - 1;
        let code = golomb(&mut self.reader, &self.parameters, k, limit)?;
        let folded = code + kind;
        let odd = folded % 2 == 1;
        let magnitude = (folded + 1) / 2;
        let negatives_rule = k != 0 || 2 * context.negatives >= context.count;
        let error = if negatives_rule == odd { -magnitude } else { magnitude };
        context.update(error, code, kind, self.parameters.reset);
        let (prediction, sign) = if equal { (a, 1) } else { (b, if a > b { -1 } else { 1 }) };
        Ok(self.parameters.reconstructed(prediction, sign * error))
    }
}

impl Context {
    /// T.87 § A.6.1 and § A.6.2.
    #[inline]
    fn update(&mut self, error: i32, scale: i32, reset: i32) {
        self.bias += error * scale;
        self.magnitudes = self.magnitudes.saturating_add(error.abs());
        if self.count == reset {
            self.magnitudes >>= 1;
            self.bias >>= 1;
            self.count >>= 1;
        }
        self.count += 1;
        if self.bias <= -self.count {
            self.bias = (self.bias + self.count).max(1 - self.count);
            self.correction = (self.correction - 1).max(-128);
        } else if self.bias > 0 {
            self.bias = (self.bias - self.count).min(0);
            self.correction = (self.correction + 1).min(127);
        }
    }
}

impl RunContext {
    /// T.87 § A.7.2.2.
    fn update(&mut self, error: i32, code: i32, kind: i32, reset: i32) {
        self.negatives += i32::from(error < 0);
        self.magnitudes = self.magnitudes.saturating_add((code + 1 - kind) >> 1);
        if self.count == reset {
            self.magnitudes >>= 1;
            self.count >>= 1;
            self.negatives >>= 1;
        }
        self.count += 1;
    }
}

impl Parameters {
    /// Prediction and error to sample, modulo the range (T.87 § A.4.4).
    #[inline]
    fn reconstructed(&self, prediction: i32, error: i32) -> i32 {
        let scale = 2 * self.near + 1;
        let mut value = prediction + error * scale;
        if value < -self.near {
            value += self.range * scale;
        } else if value > self.max + self.near {
            value -= self.range * scale;
        }
        value.clamp(0, self.max)
    }
}

/// k: the smallest with count x 2^k >= magnitudes (T.87 § A.5.1).
#[inline]
fn golomb_parameter(count: i32, magnitudes: i32) -> u32 {
    let mut k = 0;
    while k < 24 && i64::from(count) << k < i64::from(magnitudes) {
        k += 1;
    }
    k
}

/// A limited-length Golomb code (T.87 § A.5.3).
#[inline]
fn golomb(reader: &mut BitReader, parameters: &Parameters, k: u32, limit: u32) -> Result<i32, CodecError> {
    let longest = limit.saturating_sub(parameters.error_bits + 1);
    let zeros = reader.zeros(longest)?;
    let value = if zeros < longest {
        (u64::from(zeros) << k) + u64::from(reader.bits(k)?)
    } else {
        u64::from(reader.bits(parameters.error_bits)?) + 1
    };
    // A folded error takes at most twice the range; this also keeps damaged data from overflowing.
    if value > 2 * u64::from(parameters.range.unsigned_abs()) + 2 {
        return Err(damaged("a prediction error out of range"));
    }
    Ok(i32::try_from(value).unwrap_or_default())
}

/// Quantises a gradient (T.87 § A.3.3).
fn quantise(parameters: &Parameters, gradient: i32) -> i8 {
    let [t1, t2, t3] = parameters.thresholds;
    let size = gradient.abs();
    let level = match size {
        _ if size >= t3 => 4,
        _ if size >= t2 => 3,
        _ if size >= t1 => 2,
        _ if size > parameters.near => 1,
        _ => 0,
    };
    if gradient < 0 { -level } else { level }
}
