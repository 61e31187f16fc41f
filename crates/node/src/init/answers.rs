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
            [batch, channels, height, width] => [*batch, *channels, *height, *width],
            other => {
                let words =
                    format!("{} has {} axes, must have batch, channels, height, width", input.name, other.len());
                return Err(Failure::work(words));
            }
        };
        let head = found.head.clone().filter(|_| arguments.output.is_none());
        let output = arguments.output.clone().or_else(|| head.as_ref().map(|head| head.output.clone()));
        let output = output.or_else(|| found.outputs.first().map(|output| output.name.clone()));
        let mut ask = Asking { terminal: io::stdin().is_terminal() && io::stderr().is_terminal(), missing: Vec::new() };
        let size = arguments.size.clone();
        let side = |known: Option<usize>, ask: &mut Asking| match known {
            Some(known) => Ok(known),
            None => {
                let text = ask.text(size.as_ref(), "--size", "rows and columns of the input, such as 224")?;
                if text.is_empty() {
                    return Ok(1);
                }
                text.parse().map_err(|_| Failure::work(format!("--size: {text:?} is not a number")))
            }
        };
        let (height, width) = (side(height, &mut ask)?, side(width, &mut ask)?);
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
        let known = activation(&head, found, arguments);
        let activation =
            ask.text(known.as_ref(), "--activation", "what makes a probability of an output: sigmoid, softmax, none")?;
        if !ask.missing.is_empty() {
            return Err(Failure::work(format!("the file does not say all; missing: {}", ask.missing.join("; ")))
                .help("give these, or run the command in a terminal and be asked"));
        }
        let Some(output) = output else { return Err(Failure::work("the graph has no output")) };
        Ok(Self {
            name,
            version: arguments.model_version.clone(),
            vendor,
            licence,
            intended_use: use_,
            when: arguments.when.clone(),
            input: input.name.clone(),
            output,
            channels: channels.unwrap_or(1),
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

/// What the arguments, else the graph, say of how outputs become probabilities. The head's output is taken before an
/// activation of the graph, the graph's own output behind it.
fn activation(head: &Option<Head>, found: &Inspection, arguments: &Init) -> Option<String> {
    let of_head = || head.as_ref()?.activation.as_ref().map(|operator| operator.to_lowercase());
    let of_output = || {
        let plain = head.is_none() && arguments.output.is_none();
        found.activation.as_ref().filter(|_| plain).map(|_| "none".to_owned())
    };
    arguments.activation.clone().or_else(of_head).or_else(of_output)
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
    use super::*;

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
