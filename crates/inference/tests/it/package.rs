//! Packages for tests, made in memory.

use std::fmt::Write as _;

use dokuei_inference::{InferError, Inference, LoadError, Model, Overrides, Package, PackageError, npy};
use ndarray::Array4;
use sha2::{Digest as _, Sha256};

use crate::onnx::{Head, Network};
use crate::prepared;

/// The parts of a `model.toml` that tests vary.
pub(crate) struct Parts {
    pub(crate) network: Vec<u8>,
    /// Of the manifest; `None`: the right one.
    pub(crate) sha256: Option<String>,
    pub(crate) accepts: String,
    pub(crate) input: &'static str,
    pub(crate) graph: &'static str,
    pub(crate) findings: String,
    pub(crate) explanation: String,
    pub(crate) selftest: String,
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
}

pub(crate) const INPUT: &str = "channels = 1\nheight = 8\nwidth = 8\ngeometry = 'pad'\nresampling = 'bilinear'\n\
                                intensity = 'voi'\nmean = [0.0]\nscale = [1.0]";

pub(crate) fn finding(name: &str, index: usize, extra: &str) -> String {
    format!(
        "[[finding]]\nname = '{name}'\nindex = {index}\nactivation = 'sigmoid'\n\
         concept = {{ value = '233604007', scheme = 'SCT', meaning = 'Pneumonia' }}\n\
         site = {{ value = '39607008', scheme = 'SCT', meaning = 'Lung' }}\n\
         bands = {{ medium = 0.30, high = 0.65 }}\nmarking_threshold = 0.5\n{extra}\n"
    )
}

pub(crate) const CAM: &str = "kind = 'cam'\nfeatures = 'features'\nweights = 'classifier.weight'\nfull_scale = 64.0";

pub(crate) fn network() -> Network {
    Network { head: Head::Gemm, weights: vec![[32.0, -4.0]], bias: vec![-1.0] }
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            network: network().graph().bytes(),
            sha256: None,
            accepts: String::new(),
            input: INPUT,
            graph: "input = 'input'\noutput = 'logits'",
            findings: finding("pneumonia", 0, ""),
            explanation: CAM.into(),
            selftest: String::new(),
            files: Vec::new(),
        }
    }
}

impl Parts {
    pub(crate) fn manifest(&self) -> String {
        let digest = Sha256::digest(&self.network).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        let sha256 = self.sha256.clone().unwrap_or(digest);
        let selftest =
            if self.selftest.is_empty() { String::new() } else { format!("[selftest]\n{}\n", self.selftest) };
        format!(
            "format = 1\n\n[model]\nname = 'test'\nversion = '1.0'\nvendor = 'Nobody'\nlicence = 'MIT'\n\
             device_uid = '2.25.1'\nweights_sha256 = '{sha256}'\nintended_use = 'tests'\nqualification = 'research'\n\n\
             [accepts]\nwhen = [\"modality == 'CR'\"]\n{}\n[graph]\n{}\n\n[input]\n{}\n\n{}\n[explanation]\n{}\n\n{selftest}",
            self.accepts, self.graph, self.input, self.findings, self.explanation
        )
    }

    pub(crate) fn package(&self) -> Result<Package, PackageError> {
        let manifest = self.manifest();
        let mut files: Vec<(&str, &[u8])> =
            vec![("model.toml", manifest.as_bytes()), ("model.onnx", &self.network), ("MODEL_CARD.md", b"# test\n")];
        files.extend(self.files.iter().map(|(name, bytes)| (*name, bytes.as_slice())));
        Package::from_files("test", &files)
    }

    pub(crate) fn load(&self) -> Result<Model, LoadError> {
        Model::load(self.package().unwrap(), &Overrides::default())
    }

    pub(crate) fn run(&self, tensor: &Array4<f32>) -> Result<Inference, InferError> {
        self.load().unwrap().session()?.run(&prepared(tensor.clone()))
    }

    /// With a self-test whose expected output is `output`.
    pub(crate) fn with_self_test(mut self, output: f32, extra: &str) -> Self {
        let input = bright_cell();
        self.files.push(("selftest/input.npy", npy::write(&[1, 1, 8, 8], input.as_slice().unwrap())));
        self.files.push(("selftest/output.npy", npy::write(&[1, 1], &[output])));
        self.selftest =
            format!("input = 'selftest/input.npy'\noutput = 'selftest/output.npy'\ntolerance = 0.0001\n{extra}");
        self
    }
}

/// 0 but for one cell of 2 x 2 ones: row 1, column 2 of the 4 x 4 feature map. The network's mean
/// channel is then 1/16 on average, its logit 32/16 - 1 = 1.
pub(crate) fn bright_cell() -> Array4<f32> {
    Array4::from_shape_fn((1, 1, 8, 8), |(_, _, y, x)| if y / 2 == 1 && x / 2 == 2 { 1.0 } else { 0.0 })
}
