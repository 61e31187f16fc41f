//! A model package: a folder, or the same files embedded in a binary.
//!
//! `model.toml` and `model.onnx`, usually `MODEL_CARD.md`, and the `.npy` files that the manifest
//! names. Nothing else of the folder is read, and no name in the manifest leads out of it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use crate::manifest::{CamWeights, Explanation, Manifest, ManifestError};
use crate::npy::{self, NpyError, Tensor};

/// The manifest's name in a package.
const MANIFEST: &str = "model.toml";
/// The network's name in a package.
const NETWORK: &str = "model.onnx";
/// The card's name in a package.
const CARD: &str = "MODEL_CARD.md";

/// Largest manifest or card, in bytes.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// Largest network, in bytes: what a protobuf message can hold.
const NETWORK_BYTES_MAX: u64 = (1 << 31) - 1;
/// Largest `.npy` file, in bytes.
const TENSOR_BYTES_MAX: u64 = 256 << 20;

/// A model package, read and its manifest checked; the network itself is not looked at yet.
#[derive(Clone)]
pub struct Package {
    /// What the package says of itself.
    pub manifest: Manifest,
    /// The text of `MODEL_CARD.md`, if there is one.
    pub card: Option<String>,
    /// The bytes of `model.toml`, for the fingerprint.
    pub(crate) manifest_text: String,
    /// The bytes of `model.onnx`.
    pub(crate) network: Vec<u8>,
    /// The `.npy` files that the manifest names.
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

/// Why a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file the package must have.
    #[error("model package {package}: {file} is missing")]
    Missing {
        /// The package's folder or name.
        package: String,
        /// The file.
        file: String,
    },
    /// The disk said no.
    #[error("model package {package}: read {file}")]
    Read {
        /// The package's folder or name.
        package: String,
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// More bytes than such a file may have.
    #[error("model package {package}: {file} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The package's folder or name.
        package: String,
        /// The file.
        file: String,
        /// The most it may have.
        limit_bytes: u64,
    },
    /// A text that is not UTF-8.
    #[error("model package {package}: {file} is not UTF-8 text")]
    NotText {
        /// The package's folder or name.
        package: String,
        /// The file.
        file: String,
    },
    /// The manifest breaks a rule.
    #[error("model package {package}: manifest")]
    Manifest {
        /// The package's folder or name.
        package: String,
        /// Line, key and what would be right.
        source: Box<ManifestError>,
    },
    /// A `.npy` file that cannot be read.
    #[error("model package {package}: {file}")]
    Tensor {
        /// The package's folder or name.
        package: String,
        /// The file.
        file: String,
        /// Why.
        source: NpyError,
    },
}

/// Where the files come from: a folder or a binary.
trait Files {
    fn package(&self) -> String;

    /// The bytes of a file, `None` when it is not there.
    fn read(&self, file: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>, PackageError>;

    fn required(&self, file: &str, limit_bytes: u64) -> Result<Vec<u8>, PackageError> {
        self.read(file, limit_bytes)?
            .ok_or_else(|| PackageError::Missing { package: self.package(), file: file.to_owned() })
    }

    fn text(&self, file: &str, bytes: Vec<u8>) -> Result<String, PackageError> {
        String::from_utf8(bytes).map_err(|_| PackageError::NotText { package: self.package(), file: file.to_owned() })
    }
}

struct Folder<'a>(&'a Path);

impl Files for Folder<'_> {
    fn package(&self) -> String {
        self.0.display().to_string()
    }

    fn read(&self, file: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>, PackageError> {
        let failed = |source| PackageError::Read { package: self.package(), file: file.to_owned(), source };
        let opened = match std::fs::File::open(self.0.join(file)) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        opened.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(PackageError::TooLarge { package: self.package(), file: file.to_owned(), limit_bytes });
        }
        Ok(Some(bytes))
    }
}

struct Embedded<'a> {
    name: &'a str,
    files: &'a [(&'a str, &'a [u8])],
}

impl Files for Embedded<'_> {
    fn package(&self) -> String {
        self.name.to_owned()
    }

    fn read(&self, file: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>, PackageError> {
        let found = self.files.iter().find(|(name, _)| *name == file).map(|(_, bytes)| *bytes);
        match found {
            Some(bytes) if bytes.len() as u64 > limit_bytes => {
                Err(PackageError::TooLarge { package: self.package(), file: file.to_owned(), limit_bytes })
            }
            found => Ok(found.map(<[u8]>::to_vec)),
        }
    }
}

impl Package {
    /// Reads a package from its folder.
    ///
    /// # Errors
    /// [`PackageError`]: a file is missing, unreadable or too large, or the manifest breaks a rule.
    pub fn open(dir: &Path) -> Result<Self, PackageError> {
        Self::read(&Folder(dir))
    }

    /// Reads a package from `(path inside the package, bytes)` pairs, as a binary embeds them; `name`
    /// is what errors call it.
    ///
    /// # Errors
    /// As [`Package::open`].
    pub fn from_files(name: &str, files: &[(&str, &[u8])]) -> Result<Self, PackageError> {
        Self::read(&Embedded { name, files })
    }

    fn read(files: &dyn Files) -> Result<Self, PackageError> {
        let manifest_text = files.text(MANIFEST, files.required(MANIFEST, TEXT_BYTES_MAX)?)?;
        let manifest = Manifest::parse(&manifest_text, MANIFEST)
            .map_err(|source| PackageError::Manifest { package: files.package(), source: Box::new(source) })?;
        let card = match files.read(CARD, TEXT_BYTES_MAX)? {
            Some(bytes) => Some(files.text(CARD, bytes)?),
            None => None,
        };
        let network = files.required(NETWORK, NETWORK_BYTES_MAX)?;
        let mut tensors = BTreeMap::new();
        for file in tensor_files(&manifest) {
            let bytes = files.required(file, TENSOR_BYTES_MAX)?;
            let tensor = npy::read(&bytes).map_err(|source| PackageError::Tensor {
                package: files.package(),
                file: file.to_owned(),
                source,
            })?;
            tensors.insert(file.to_owned(), tensor);
        }
        Ok(Self { manifest, card, manifest_text, network, tensors })
    }
}

fn tensor_files(manifest: &Manifest) -> Vec<&str> {
    let mut files = Vec::new();
    if let Explanation::Cam { weights: CamWeights::File(file), .. } = &manifest.explanation {
        files.push(file.as_str());
    }
    if let Some(test) = &manifest.self_test {
        files.extend([test.input.as_str(), test.output.as_str()]);
        files.extend(test.maps.as_deref());
    }
    files
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Package")
            .field("manifest", &self.manifest)
            .field("network_bytes", &self.network.len())
            .field("tensors", &self.tensors.keys())
            .finish_non_exhaustive()
    }
}
