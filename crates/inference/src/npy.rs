//! NumPy's `.npy` files of 32-bit floats, the format of self-test tensors: the magic
//! `\x93NUMPY`, a version, the length of a header, the header (a Python dictionary with `descr`,
//! `fortran_order`, `shape`), then the values, little endian, the last axis fastest.

/// The first six bytes.
const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header read, in bytes; NumPy's own are 118.
const HEADER_MAX: usize = 4096;
/// Most axes.
const AXES_MAX: usize = 8;

/// A tensor of 32-bit floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// The values, the last axis fastest; as many as the product of `shape`.
    pub values: Vec<f32>,
}

/// Why bytes are not a `.npy` file we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NpyError {
    /// The magic is not there.
    #[error("not a .npy file")]
    Magic,
    /// A version other than 1, 2 or 3.
    #[error("version {0} of .npy is not known, only 1, 2 and 3 are")]
    Version(u8),
    /// Fewer bytes than the header says.
    #[error("the header is cut off or longer than {HEADER_MAX} bytes")]
    Truncated,
    /// The dictionary cannot be read.
    #[error("the header is not the dictionary NumPy writes, near {0:?}")]
    Header(String),
    /// Another type than `<f4`.
    #[error("holds {0:?}, must hold '<f4' (save with .astype(numpy.float32))")]
    Type(String),
    /// The first axis fastest.
    #[error("is in Fortran order (save with numpy.ascontiguousarray)")]
    FortranOrder,
    /// More or fewer values than the shape says.
    #[error("has {actual} bytes of values, its shape {shape:?} needs {expected}")]
    Length {
        /// The shape of the header.
        shape: Vec<usize>,
        /// Bytes that the shape needs.
        expected: usize,
        /// Bytes there are.
        actual: usize,
    },
    /// Not a number, or infinite.
    #[error("value {0} is not a finite number")]
    NotFinite(usize),
}

/// Reads a `.npy` file of finite `<f4` values in C order.
///
/// # Errors
/// [`NpyError`] for everything else. Allocates no more than the bytes given.
pub fn read(bytes: &[u8]) -> Result<Tensor, NpyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(NpyError::Truncated)?;
    let (length, rest) = match version[0] {
        1 => rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest)),
        2 | 3 => rest
            .split_first_chunk::<4>()
            .and_then(|(length, rest)| Some((usize::try_from(u32::from_le_bytes(*length)).ok()?, rest))),
        other => return Err(NpyError::Version(other)),
    }
    .ok_or(NpyError::Truncated)?;
    if length > HEADER_MAX {
        return Err(NpyError::Truncated);
    }
    let (header, data) = rest.split_at_checked(length).ok_or(NpyError::Truncated)?;
    let header = std::str::from_utf8(header).map_err(|_| NpyError::Header(String::new()))?;
    let shape = dictionary(header)?;
    let expected = shape
        .iter()
        .try_fold(4_usize, |bytes, axis| bytes.checked_mul(*axis))
        .filter(|expected| *expected == data.len());
    if expected.is_none() {
        let expected = shape.iter().fold(4_usize, |bytes, axis| bytes.saturating_mul(*axis));
        return Err(NpyError::Length { shape, expected, actual: data.len() });
    }
    let (values, _) = data.as_chunks::<4>();
    let values: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(NpyError::NotFinite(index)),
        None => Ok(Tensor { shape, values }),
    }
}

/// Writes a `.npy` file, version 1; `values` are as many as the product of `shape`, which has at most 8
/// axes.
#[must_use]
pub fn write(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({axes}), }}");
    // The values start at a multiple of 64 bytes.
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The shape, once the other two entries are what we read.
fn dictionary(header: &str) -> Result<Vec<usize>, NpyError> {
    let mut rest = Text(header.trim_end_matches(['\n', ' ']));
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    rest.expect('{')?;
    while !rest.eat('}') {
        let key = rest.quoted()?;
        rest.expect(':')?;
        match key {
            "descr" if descr.is_none() => descr = Some(rest.quoted()?),
            "fortran_order" if fortran.is_none() => fortran = Some(rest.boolean()?),
            "shape" if shape.is_none() => shape = Some(rest.tuple()?),
            _ => return Err(rest.error()),
        }
        if !rest.eat(',') {
            rest.expect('}')?;
            break;
        }
    }
    match (descr, fortran, shape) {
        _ if !rest.0.is_empty() => Err(rest.error()),
        (Some(descr), _, _) if descr != "<f4" => Err(NpyError::Type(descr.to_owned())),
        (_, Some(true), _) => Err(NpyError::FortranOrder),
        (Some(_), Some(false), Some(shape)) => Ok(shape),
        _ => Err(rest.error()),
    }
}

struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn error(&self) -> NpyError {
        NpyError::Header(self.0.chars().take(24).collect())
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.0.trim_start_matches(' ');
        self.0 = rest.strip_prefix(c).unwrap_or(rest);
        self.0.len() != rest.len()
    }

    fn expect(&mut self, c: char) -> Result<(), NpyError> {
        if self.eat(c) { Ok(()) } else { Err(self.error()) }
    }

    fn quoted(&mut self) -> Result<&'a str, NpyError> {
        self.expect('\'')?;
        let (text, rest) = self.0.split_once('\'').ok_or_else(|| self.error())?;
        self.0 = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        let rest = self.0.trim_start_matches(' ');
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err(self.error())
    }

    fn tuple(&mut self) -> Result<Vec<usize>, NpyError> {
        self.expect('(')?;
        let mut axes = Vec::new();
        while !self.eat(')') {
            let digits = self.0.len() - self.0.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = self.0.split_at_checked(digits).ok_or_else(|| self.error())?;
            axes.push(number.parse().map_err(|_| self.error())?);
            self.0 = rest;
            if axes.len() > AXES_MAX {
                return Err(self.error());
            }
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(axes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for shape in [vec![], vec![3], vec![1, 2, 3]] {
            let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|value| value as f32 - 1.5).collect();
            let bytes = write(&shape, &values);
            assert_eq!((bytes.len() - values.len() * 4) % 64, 0);
            assert_eq!(read(&bytes), Ok(Tensor { shape, values }));
        }
    }

    #[test]
    fn numpys_own_bytes() {
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".to_vec();
        bytes.resize(127, b' ');
        bytes.extend_from_slice(b"\n\x00\x00\x80\x3f\x00\x00\x00\xc0");
        assert_eq!(read(&bytes), Ok(Tensor { shape: vec![2], values: vec![1.0, -2.0] }));
    }

    fn check(header: &str, values: &[u8], expected: &NpyError) {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(values);
        assert_eq!(read(&bytes).as_ref(), Err(expected), "{header}");
    }

    #[test]
    fn refuses_what_it_would_misread() {
        let header = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        check(&header("<f8", "False", "(1,)"), &[0; 8], &NpyError::Type("<f8".into()));
        check(&header("<f4", "True", "(1,)"), &[0; 4], &NpyError::FortranOrder);
        let short = NpyError::Length { shape: vec![2], expected: 8, actual: 4 };
        check(&header("<f4", "False", "(2,)"), &[0; 4], &short);
        let huge = usize::MAX;
        let overflow = NpyError::Length { shape: vec![huge, 2], expected: usize::MAX, actual: 0 };
        check(&header("<f4", "False", &format!("({huge}, 2)")), &[], &overflow);
        check(&header("<f4", "False", "(1,)"), &f32::NAN.to_le_bytes(), &NpyError::NotFinite(0));
        check("{'descr': '<f4'", &[], &NpyError::Header(String::new()));
        assert_eq!(read(b"PK\x03\x04"), Err(NpyError::Magic));
        assert_eq!(read(b"\x93NUMPY\x09\x00"), Err(NpyError::Version(9)));
        assert_eq!(read(b"\x93NUMPY\x01\x00\xff\xff{"), Err(NpyError::Truncated));
    }
}
