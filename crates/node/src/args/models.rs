//! `dokuei models`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Models {
    #[command(subcommand)]
    pub(crate) action: ModelsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsAction {
    /// The packages the configuration names.
    List(ModelsPlace),
    /// Hash, load, one run and the self-test of packages.
    Verify(ModelsPlace),
    /// What a model is worth on labelled images: AUROC, calibration, bands, subgroups, worst errors.
    Evaluate(Evaluate),
    /// Whether one of two models is better, on the same labelled images.
    Compare(Compare),
    /// Make a package of an ONNX classifier: what the file does not say is asked for.
    Init(Init),
}

/// Labelled images.
#[derive(Debug, Args)]
pub(crate) struct Labelled {
    /// The folder of the images: DICOM, JPEG or PNG.
    #[arg(long, value_name = "DIR")]
    pub(crate) images: PathBuf,
    /// The table that says what is true of each image: CSV with a heading.
    #[arg(long, value_name = "CSV")]
    pub(crate) labels: PathBuf,
    /// The table's column of paths below the folder of images.
    #[arg(long, value_name = "NAME", default_value = "file")]
    pub(crate) file_column: String,
    /// The column of labels: 1 positive, 0 negative, empty for images to be passed over.
    #[arg(long, value_name = "NAME", default_value = "label")]
    pub(crate) label_column: String,
    /// The column that says whose image it is; without it `patient`, else the Patient ID of DICOM images.
    #[arg(long, value_name = "NAME")]
    pub(crate) patient_column: Option<String>,
    /// Labels that mean positive where they are words; all others are negative.
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    pub(crate) positive: Vec<String>,
    /// Only rows with one of these values in a column; may be given again for another.
    #[arg(long, value_name = "COLUMN=VALUE[,VALUE]")]
    pub(crate) only: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// The model's name in the configuration, or the folder of its package.
    #[arg(long, value_name = "NAME|DIR", default_value = "cxr-pneumonia")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) labelled: Labelled,
    /// Which finding, where the model has several.
    #[arg(long, value_name = "NAME")]
    pub(crate) finding: Option<String>,
    /// Columns of the table whose values are subgroups.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(crate) by: Vec<String>,
    /// Shares of positives for which predictive values are wanted.
    #[arg(long, value_name = "SHARE", value_delimiter = ',', default_values_t = [0.05, 0.15, 0.5], value_parser = share)]
    pub(crate) prevalence: Vec<f64>,
    /// How many errors of each kind are listed and drawn.
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub(crate) worst: usize,
    /// Write figures, scores, charts and pictures of the worst errors here.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// The configuration that names the model; without it the bundled one.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// A model's name in the configuration, or the folder of its package; given twice.
    #[arg(long, value_name = "NAME|DIR", required = true)]
    pub(crate) model: Vec<String>,
    #[command(flatten)]
    pub(crate) labelled: Labelled,
    /// Which finding, of both models or first of one, then of the other.
    #[arg(long, value_name = "NAME")]
    pub(crate) finding: Vec<String>,
    /// Write figures and the ROC curves here.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// The configuration that names the models; without it the bundled one.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The network: ONNX in one file.
    #[arg(value_name = "ONNX")]
    pub(crate) onnx: PathBuf,
    /// The folder of the package; made when absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What routes call the model: a-z, 0-9, -.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Its release.
    #[arg(long, value_name = "VERSION", default_value = "0.1.0")]
    pub(crate) model_version: String,
    /// Who answers for it.
    #[arg(long)]
    pub(crate) vendor: Option<String>,
    /// Licence of the weights, an SPDX expression.
    #[arg(long)]
    pub(crate) licence: Option<String>,
    /// What it is for, and what not.
    #[arg(long, value_name = "TEXT")]
    pub(crate) intended_use: Option<String>,
    /// A condition that images must meet; may be given again.
    #[arg(long, value_name = "CEL", default_value = "modality in ['CR', 'DX']")]
    pub(crate) when: Vec<String>,
    /// The findings in the order of the outputs, or with the output's index.
    #[arg(long, value_name = "NAME[@INDEX]", value_delimiter = ',')]
    pub(crate) finding: Vec<String>,
    /// What makes a probability of an output: sigmoid, softmax or none.
    #[arg(long, value_name = "KIND", value_parser = ["sigmoid", "softmax", "none"])]
    pub(crate) activation: Option<String>,
    /// The probability from which a finding counts as present, which is shown as 50 %: one for all, or one for each.
    #[arg(long, value_name = "SHARE", value_delimiter = ',')]
    pub(crate) threshold: Vec<f64>,
    /// tensor = (value - mean) / scale, with values 0 black to 1 white: one number, or one a channel.
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true)]
    pub(crate) mean: Vec<f32>,
    /// See --mean.
    #[arg(long, value_delimiter = ',')]
    pub(crate) scale: Vec<f32>,
    /// How images are fitted to the tensor: pad, crop or squash.
    #[arg(long, value_name = "KIND", value_parser = ["pad", "crop", "squash"])]
    pub(crate) geometry: Option<String>,
    /// Rows and columns of the tensor, where the graph leaves them open.
    #[arg(long, value_name = "PIXELS")]
    pub(crate) size: Option<String>,
    /// Colour channels of the tensor, where the graph leaves them open: 1 or 3.
    #[arg(long, value_name = "COUNT")]
    pub(crate) channels: Option<String>,
    /// The tensor whose elements the findings are: one of several outputs, or another one. Where it is a classifier's over
    /// global average pooling there are class activation maps.
    #[arg(long, value_name = "TENSOR")]
    pub(crate) output: Option<String>,
    /// An input tensor for the self-test, .npy; without it a pattern.
    #[arg(long, value_name = "NPY")]
    pub(crate) example: Option<PathBuf>,
    /// What the network's own framework gives for it, .npy.
    #[arg(long, value_name = "NPY", requires = "example")]
    pub(crate) expected: Option<PathBuf>,
}

/// A share of images, above 0 and below 1.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if share > 0.0 && share < 1.0 { Ok(share) } else { Err("must lie between 0 and 1".to_owned()) }
}

#[derive(Debug, Args)]
pub(crate) struct ModelsPlace {
    /// Package folders; without them those of the configuration.
    pub(crate) packages: Vec<PathBuf>,
    /// The configuration; without it the bundled package.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
