//! What a manifest needs and an ONNX file cannot say: from the arguments, else from the person at the terminal.

use std::io::{self, IsTerminal, Write};

use dokuei_inference::{Head, Inspection};

use crate::args::Init;
use crate::outcome::Failure;

/// Everything a manifest says.
pub(crate) struct Answers {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) vendor: String,
    pub(crate) licence: String,
    pub(crate) intended_use: String,
    pub(crate) when: Vec<String>,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) geometry: String,
    pub(crate) mean: Vec<f32>,
    pub(crate) scale: Vec<f32>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) activation: String,
    /// The layer that class activation maps are made of.
    pub(crate) head: Option<Head>,
}

/// One `[[finding]]`.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) name: String,
    pub(crate) index: usize,
    /// The output from which it counts as present, which becomes 50 %.
    pub(crate) threshold: Option<f64>,
}

/// Asks a person, or collects what nobody was there to be asked.
struct Asking {
    terminal: bool,
    missing: Vec<String>,
}

impl Asking {
    /// The value given, or the answer to a question; `hint` says what kind of answer.
    fn text(&mut self, given: Option<&String>, flag: &str, hint: &str) -> Result<String, Failure> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        if !self.terminal {
            self.missing.push(format!("{flag} ({hint})"));
            return Ok(String::new());
        }
        loop {
            let failed = |error: io::Error| Failure::because("ask on the terminal", &error);
            let mut terminal = io::stderr();
            write!(terminal, "{} ({hint}): ", flag.trim_start_matches('-')).map_err(failed)?;
            terminal.flush().map_err(failed)?;
            let mut answer = String::new();
            if io::stdin().read_line(&mut answer).map_err(failed)? == 0 {
                return Err(Failure::work(format!("no answer; {flag} gives one")));
            }
            if !answer.trim().is_empty() {
                return Ok(answer.trim().to_owned());
            }
        }
    }

    /// 1 in place of an answer that is missing.
    fn number(&mut self, given: Option<&String>, flag: &str, hint: &str) -> Result<usize, Failure> {
        match self.text(given, flag, hint)?.as_str() {
            "" => Ok(1),
            text => text.parse().map_err(|_| Failure::work(format!("{flag}: {text:?} is not a number"))),
        }
    }

    fn numbers(&mut self, given: &[f32], flag: &str, hint: &str) -> Result<Vec<f32>, Failure> {
        if !given.is_empty() {
            return Ok(given.to_vec());
        }
        let text = self.text(None, flag, hint)?;
        let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
        let numbers: Result<Vec<f32>, _> = parts.map(str::parse).collect();
        numbers.map_err(|_| Failure::work(format!("{flag}: {text:?} is not a list of numbers")))
    }
}

impl Answers {
    /// # Errors
    /// The file is no image classifier, or what it does not say was neither given nor can be asked for.
    pub(crate) fn gather(arguments: &Init, found: &Inspection) -> Result<Self, Failure> {
        let [input] = found.inputs.as_slice() else {
            let names: Vec<&str> = found.inputs.iter().map(|input| input.name.as_str()).collect();
            return Err(Failure::work(format!("the graph has the inputs {names:?}, must have one")));
        };
        if input.element != "float" {
            return Err(Failure::work(format!("{} holds {}, must hold 32-bit floats", input.name, input.element))
                .help("export the network with a float32 input"));
        }
        let [_, channels, height, width] = match input.shape.as_slice() {
            [] => [None; 4],
            [_, Some(2 | 4..), _, Some(1 | 3)] => {
                let words = format!("{} has its channels last, must have batch, channels, height, width", input.name);
                return Err(Failure::work(words).help("export the network with the channels first"));
            }
            [batch, channels, height, width] => [*batch, *channels, *height, *width],
            other => {
                let words =
                    format!("{} has {} axes, must have batch, channels, height, width", input.name, other.len());
                return Err(Failure::work(words));
            }
        };
        let mut ask = Asking { terminal: io::stdin().is_terminal() && io::stderr().is_terminal(), missing: Vec::new() };
        let output = output(arguments.output.as_ref(), found, &mut ask)?;
        let head = found.heads.iter().find(|head| head.end == output || head.output == output).cloned();
        let (height, width) = match (height, width) {
            (Some(height), Some(width)) => (height, width),
            (height, width) => {
                let hint = "rows and columns of the input, such as 224";
                let side = ask.number(arguments.size.as_ref(), "--size", hint)?;
                (height.unwrap_or(side), width.unwrap_or(side))
            }
        };
        let channels = match channels {
            Some(channels) => channels,
            None => ask.number(arguments.channels.as_ref(), "--channels", "of the input: 1 for grey, 3 for RGB")?,
        };
        let name = ask.text(arguments.name.as_ref(), "--name", "what routes call the model: a-z, 0-9, -")?;
        let vendor = ask.text(arguments.vendor.as_ref(), "--vendor", "who answers for it")?;
        let licence = ask.text(arguments.licence.as_ref(), "--licence", "of the weights, such as Apache-2.0")?;
        let use_ = ask.text(arguments.intended_use.as_ref(), "--intended-use", "what it is for, and what not")?;
        let geometry = ask.text(
            arguments.geometry.as_ref(),
            "--geometry",
            "how images were fitted in training: pad, crop or squash",
        )?;
        let hint = "tensor = (value - mean) / scale, with values 0 black to 1 white; one number, or one a channel";
        let mean = ask.numbers(&arguments.mean, "--mean", hint)?;
        let scale = ask.numbers(&arguments.scale, "--scale", hint)?;
        let names = match arguments.finding.as_slice() {
            [] => {
                let text = ask.text(None, "--finding", "names in the order of the outputs, separated by commas")?;
                text.split(',').map(|name| name.trim().to_owned()).collect()
            }
            given => given.to_vec(),
        };
        let known = activation(head.as_ref(), found, &output, arguments);
        let activation =
            ask.text(known.as_ref(), "--activation", "what makes a probability of an output: sigmoid, softmax, none")?;
        if !ask.missing.is_empty() {
            return Err(Failure::work(format!("the file does not say all; missing: {}", ask.missing.join("; ")))
                .help("give these, or run the command in a terminal and be asked"));
        }
        Ok(Self {
            name,
            version: arguments.model_version.clone(),
            vendor,
            licence,
            intended_use: use_,
            when: arguments.when.clone(),
            input: input.name.clone(),
            output: head.as_ref().map_or(output, |head| head.output.clone()),
            channels,
            height,
            width,
            geometry,
            mean,
            scale,
            findings: findings(&names, &arguments.threshold)?,
            activation,
            head,
        })
    }
}

/// The tensor of the findings: the one output that a classifier's layer makes, else the one output of the graph.
fn output(given: Option<&String>, found: &Inspection, ask: &mut Asking) -> Result<String, Failure> {
    let floats = found.outputs.iter().filter(|output| output.element == "float").map(|output| output.name.as_str());
    let ends: Vec<&str> = match found.heads.as_slice() {
        [] => floats.collect(),
        heads => heads.iter().map(|head| head.end.as_str()).collect(),
    };
    match (given, ends.as_slice()) {
        (Some(output), _) => Ok(output.clone()),
        (None, [output]) => Ok((*output).to_owned()),
        (None, []) => Err(Failure::work("the graph has no output of 32-bit floats")),
        (None, several) => ask.text(
            None,
            "--output",
            &format!("which holds the findings, since there are several: {}", several.join(", ")),
        ),
    }
}

/// What the arguments, else the graph, say of how outputs become probabilities. The head's output is taken before an
/// activation of the graph, another output behind it.
fn activation(head: Option<&Head>, found: &Inspection, output: &str, arguments: &Init) -> Option<String> {
    let of_graph = || match head {
        Some(head) => head.activation.as_ref().map(|operator| operator.to_lowercase()),
        None => found.activations.contains_key(output).then(|| "none".to_owned()),
    };
    arguments.activation.clone().or_else(of_graph)
}

/// `NAME` is the finding of the output at its place in the list, `NAME@INDEX` of another.
fn findings(names: &[String], thresholds: &[f64]) -> Result<Vec<Finding>, Failure> {
    if thresholds.len() > 1 && thresholds.len() != names.len() {
        let words = format!("{} thresholds for {} findings", thresholds.len(), names.len());
        return Err(Failure::work(words).help("give one for all, or one for each"));
    }
    if let Some(wrong) = thresholds.iter().find(|threshold| !(0.0 < **threshold && **threshold < 1.0)) {
        return Err(Failure::work(format!("--threshold {wrong} does not lie between 0 and 1")));
    }
    let one = |(place, text): (usize, &String)| {
        let (name, index) = match text.split_once('@') {
            Some((name, index)) => {
                let index = index.parse().map_err(|_| Failure::work(format!("--finding {text:?}: write NAME@INDEX")));
                (name, index?)
            }
            None => (text.as_str(), place),
        };
        let threshold = thresholds.get(place).or(thresholds.first().filter(|_| thresholds.len() == 1)).copied();
        Ok(Finding { name: name.to_owned(), index, threshold })
    };
    names.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dokuei_inference::TensorInfo;

    use super::*;

    #[test]
    fn one_of_several_outputs_is_asked_for() {
        let head = |end: &str| Head {
            features: "features".into(),
            weights: format!("{end}.weight"),
            output: format!("{end}.logit"),
            end: end.into(),
            classes: 1,
            activation: None,
        };
        let tensor =
            |name: &str, element: &str| TensorInfo { name: name.into(), element: element.into(), shape: vec![] };
        let found = |outputs: &[(&str, &str)], heads: &[&str]| Inspection {
            opset: 17,
            operators: BTreeMap::default(),
            inputs: Vec::new(),
            outputs: outputs.iter().map(|(name, element)| tensor(name, element)).collect(),
            heads: heads.iter().map(|end| head(end)).collect(),
            activations: BTreeMap::default(),
        };
        let asked = |given: Option<&str>, found: &Inspection| {
            let mut ask = Asking { terminal: false, missing: Vec::new() };
            let said = output(given.map(str::to_owned).as_ref(), found, &mut ask).ok();
            (said, ask.missing.concat())
        };
        let (mass, sex) = (("mass", "float"), ("sex", "float"));
        let taken = |name: &str| (Some(name.to_owned()), String::new());
        let several = "--output (which holds the findings, since there are several: mass, sex)";
        for heads in [&["mass", "sex"][..], &[]] {
            let found = found(&[mass, sex], heads);
            assert_eq!(asked(None, &found), (Some(String::new()), several.to_owned()));
            assert_eq!(asked(Some("sex"), &found), taken("sex"));
        }
        assert_eq!(asked(None, &found(&[mass, sex], &["sex"])), taken("sex"));
        assert_eq!(asked(None, &found(&[("label", "int64"), sex], &[])), taken("sex"));
        assert_eq!(asked(None, &found(&[("label", "int64")], &[])), (None, String::new()));
    }

    #[test]
    fn findings_have_the_place_they_are_listed_at_or_say() {
        let names = ["mass".to_owned(), "nodule@7".to_owned()];
        let finding = |name: &str, index, threshold| Finding { name: name.into(), index, threshold };
        let plain = [finding("mass", 0, None), finding("nodule", 7, None)];
        assert_eq!(findings(&names, &[]).ok().as_deref(), Some(plain.as_slice()));
        let each = [finding("mass", 0, Some(0.2)), finding("nodule", 7, Some(0.3))];
        assert_eq!(findings(&names, &[0.2, 0.3]).ok().as_deref(), Some(each.as_slice()));
        let all = [finding("mass", 0, Some(0.2)), finding("nodule", 7, Some(0.2))];
        assert_eq!(findings(&names, &[0.2]).ok().as_deref(), Some(all.as_slice()));
        for (names, thresholds) in [(["a@x", "b"], vec![]), (["a", "b"], vec![0.1, 0.2, 0.3]), (["a", "b"], vec![1.0])]
        {
            assert!(findings(&names.map(str::to_owned), &thresholds).is_err());
        }
    }
}
