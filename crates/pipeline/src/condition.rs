use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use cel::extractors::This;
use cel::{Context, DeclarationError, Env, ExecutionError, Program, Value};
use dokuei_dataset::Dataset;
use regex::Regex;

use crate::variables::{self, Attributes, Variable, attribute, close_names};

/// Longest condition, in bytes.
const LENGTH_MAX: usize = 4_096;
/// Deepest nesting of a condition: brackets, signs and negations in a row, parts within parts. Parser and
/// interpreter call themselves for each level.
const DEPTH_MAX: usize = 64;
/// Stack of the thread that parses, enough for the longest condition that passes the first look.
const STACK_BYTES: usize = 64 << 20;

/// Names of types, which CEL treats as values.
const TYPES: [&str; 10] = ["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "uint"];

/// CEL's own functions and operators as the parser spells them, but `matches`, which is ours: CEL's compiles its pattern
/// for every instance.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// One CEL expression over an instance's attributes, checked.
#[derive(Debug)]
pub(crate) struct Condition {
    text: String,
    program: Program,
    variables: Vec<(String, Variable)>,
    functions: BTreeSet<Function>,
    patterns: Arc<Patterns>,
}

/// A function of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Function {
    /// An attribute's text.
    Tag,
    /// An attribute's number.
    Number,
    /// An attribute's values.
    Values,
    /// Whether an attribute is there.
    Present,
    /// Whether a pattern is found in a text.
    Matches,
}

impl Function {
    const ALL: [Self; 5] = [Self::Tag, Self::Number, Self::Values, Self::Present, Self::Matches];

    fn name(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Number => "number",
            Self::Values => "values",
            Self::Present => "present",
            Self::Matches => "matches",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }
}

/// The patterns that are written out in a condition.
type Patterns = BTreeMap<String, Regex>;

/// Why a condition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConditionError {
    pub(crate) message: String,
    /// Where in the text, in characters from 1.
    pub(crate) column: Option<usize>,
    pub(crate) help: Option<String>,
}

/// What a condition says of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) matched: bool,
    /// The values of the names in it.
    pub(crate) values: BTreeMap<String, String>,
    /// Why it counts as not matched although it says neither.
    pub(crate) error: Option<String>,
}

impl Condition {
    /// Parses and checks a condition: names, functions, types, patterns.
    pub(crate) fn compile(text: &str) -> Result<Self, ConditionError> {
        if text.trim().is_empty() {
            return Err(plain("is empty".into()));
        }
        if text.len() > LENGTH_MAX {
            return Err(plain(format!("has {} bytes, at most {LENGTH_MAX} are allowed", text.len())));
        }
        if nesting(text) > DEPTH_MAX {
            return Err(plain(format!("is nested deeper than {DEPTH_MAX} levels")));
        }
        std::thread::scope(|scope| {
            let parser = std::thread::Builder::new().name("rules".into()).stack_size(STACK_BYTES);
            match parser.spawn_scoped(scope, || Self::parse(text)).map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(plain("cannot be parsed".into())),
                Err(error) => Err(plain(format!("cannot be parsed now: {error}"))),
            }
        })
    }

    fn parse(text: &str) -> Result<Self, ConditionError> {
        let parsed = catch_unwind(|| ENV.compile(text)).map_err(|_| plain("cannot be parsed".into()))?;
        let program = parsed.map_err(|errors| {
            let Some(first) = errors.errors.into_iter().next() else { return plain("cannot be parsed".into()) };
            if first.msg.contains("Recursion limit") {
                return plain(format!("is nested deeper than {DEPTH_MAX} levels"));
            }
            let (message, help) = syntax(&first.msg);
            // Positions are line and column from 1; a condition of one line has only the column.
            let column = usize::try_from(first.pos.1).ok().filter(|column| first.pos.0 <= 1 && *column > 0);
            ConditionError { message, column, help }
        })?;
        let mut names = Names::new(&program);
        names.walk(program.expression())?;
        let Names { variables, functions, patterns, .. } = names;
        let (variables, patterns) = (variables.into_iter().collect(), Arc::new(patterns));
        let condition = Self { text: text.to_owned(), program, variables, functions, patterns };
        condition.probe_all()?;
        Ok(condition)
    }

    /// The condition as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What it says of an instance; never an error, never a panic.
    pub(crate) fn check(&self, of: &Attributes) -> Checked {
        let values: Vec<(&str, Value)> =
            self.variables.iter().map(|(name, variable)| (name.as_str(), variable.value(of))).collect();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let context = self.context(&values, &of.dataset);
            self.program.execute(&context)
        }));
        let (matched, error) = match outcome {
            Ok(Ok(Value::Bool(matched))) => (matched, None),
            Ok(Ok(other)) => (false, Some(format!("gives {}, not true or false", shown(&other)))),
            Ok(Err(error)) => (false, Some(one_line(&error.to_string()))),
            Err(_) => (false, Some("the expression engine failed".to_owned())),
        };
        let names = self.variables.iter().zip(&values);
        let values = names.map(|((name, variable), (_, value))| (name.clone(), shown_of(*variable, value))).collect();
        Checked { matched, values, error }
    }

    /// Binds its names and those functions of ours that it calls: each costs as much as most conditions do.
    fn context<'a>(&self, values: &[(&str, Value)], dataset: &Arc<Dataset>) -> Context<'a, 'a> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        for (name, value) in values {
            context.add_variable_from_value(*name, value.clone());
        }
        for function in &self.functions {
            if let Err(error) = self.add(*function, &mut context, Arc::clone(dataset)) {
                tracing::error!(%error, "a function of the rules has a name that CEL has taken");
            }
        }
        context
    }

    fn add(&self, function: Function, to: &mut Context<'_, '_>, of: Arc<Dataset>) -> Result<(), DeclarationError> {
        let name = function.name();
        match function {
            Function::Tag => to.add_function(name, move |name: Arc<String>| {
                attribute(&name).map(|tag| variables::text(&of, tag)).unwrap_or_default()
            }),
            Function::Number => to.add_function(name, move |name: Arc<String>| {
                attribute(&name).and_then(|tag| of.float(tag)).unwrap_or_default()
            }),
            Function::Values => to.add_function(name, move |name: Arc<String>| {
                variables::list(attribute(&name).map(|tag| of.texts(tag)).unwrap_or_default())
            }),
            Function::Present => {
                to.add_function(name, move |name: Arc<String>| attribute(&name).is_some_and(|tag| of.contains(tag)))
            }
            Function::Matches => {
                let patterns = Arc::clone(&self.patterns);
                to.add_function(name, move |This(text): This<Arc<String>>, pattern: Arc<String>| {
                    matches(&patterns, &text, &pattern)
                })
            }
        }
    }

    /// Runs every part on an instance without attributes: types do not depend on the instance, so what
    /// fails by its type here fails always, also behind a part that decides alone.
    fn probe_all(&self) -> Result<(), ConditionError> {
        let none = Attributes::new(Arc::default(), "", "", "");
        let values: Vec<(&str, Value)> =
            self.variables.iter().map(|(name, variable)| (name.as_str(), variable.value(&none))).collect();
        let context = self.context(&values, &none.dataset);
        self.probe(&context, self.program.expression())
    }

    fn probe(&self, context: &Context<'_, '_>, part: &IdedExpr) -> Result<(), ConditionError> {
        if let Expr::Call(call) = &part.expr {
            let args = call.args.as_slice();
            match (call.func_name.as_str(), args) {
                (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, args) => {
                    return args.iter().try_for_each(|arg| self.probe(context, arg));
                }
                (operators::CONDITIONAL, [when, then, otherwise]) => {
                    return [when, then, otherwise].into_iter().try_for_each(|arg| self.probe(context, arg));
                }
                // CEL takes what is of two kinds for different, and says nothing.
                (operators::EQUALS | operators::NOT_EQUALS, [one, other]) => {
                    self.comparable(context, part.id, one, other)?;
                }
                (operators::IN, [one, list]) => {
                    if let Expr::List(list) = &list.expr {
                        list.elements.iter().try_for_each(|other| self.comparable(context, part.id, one, other))?;
                    }
                }
                _ => {}
            }
        }
        let value = catch_unwind(AssertUnwindSafe(|| context.resolve(part)));
        let message = match value {
            Ok(Ok(Value::Bool(_))) => return Ok(()),
            Ok(Ok(other)) => format!("gives {}, not true or false", kind(&other)),
            Ok(Err(error)) if depends_on_the_instance(&error) => return Ok(()),
            Ok(Err(error)) => one_line(&error.to_string()),
            Err(_) => "cannot be evaluated".to_owned(),
        };
        Err(self.error(part.id, message))
    }

    /// That two values are of one kind, as far as it can be told without an instance.
    fn comparable(
        &self,
        context: &Context<'_, '_>,
        at: u64,
        one: &IdedExpr,
        other: &IdedExpr,
    ) -> Result<(), ConditionError> {
        let known = |part| catch_unwind(AssertUnwindSafe(|| context.resolve(part))).ok().and_then(Result::ok);
        match (known(one).as_ref().map(kind), known(other).as_ref().map(kind)) {
            (Some(one), Some(other)) if one != other => {
                Err(self.error(at, format!("compares {one} with {other}, which are never the same")))
            }
            _ => Ok(()),
        }
    }

    fn error(&self, id: u64, message: String) -> ConditionError {
        ConditionError { message, column: column(&self.program, id), help: None }
    }
}

fn plain(message: String) -> ConditionError {
    ConditionError { message, column: None, help: None }
}

/// What the parser says, for people: without the list of all that could stand there instead.
fn syntax(message: &str) -> (String, Option<String>) {
    let message = one_line(message);
    let message = message.trim_start_matches("Syntax error: ");
    let message = message.split(" expecting {").next().unwrap_or_default().replace("'<EOF>'", "the end");
    let single = message.starts_with("token recognition error at: '=");
    let help = single.then(|| "compare with `==`".to_owned());
    (message, help)
}

/// A message of several lines in one: the first, and the last, which says what is wrong.
fn one_line(message: &str) -> String {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    match lines.next_back() {
        Some(last) => format!("{} {last}", first),
        None => first,
    }
}

/// The deepest nesting of brackets, and the longest row of signs, whichever is more.
fn nesting(text: &str) -> usize {
    let (mut depth, mut signs, mut deepest) = (0_usize, 0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth = depth.saturating_add(1),
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match byte {
            b'!' | b'-' => signs = signs.saturating_add(1),
            b' ' => {}
            _ => signs = 0,
        }
        deepest = deepest.max(depth).max(signs);
    }
    deepest
}

/// Errors that another instance may not have: an empty list indexed, a division by what is 0 here.
fn depends_on_the_instance(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::IndexOutOfBounds(_)
        | ExecutionError::NoSuchKey(_)
        | ExecutionError::DivisionByZero(_)
        | ExecutionError::RemainderByZero(_)
        | ExecutionError::Overflow(..) => true,
        // `int('')`, `double('')`: a text that is empty here.
        ExecutionError::FunctionError { function, .. } => function != "matches" && function != "tag",
        _ => false,
    }
}

/// Whether `pattern` is found in `text`.
fn matches(patterns: &Patterns, text: &str, pattern: &str) -> Result<bool, ExecutionError> {
    let found = match patterns.get(pattern) {
        Some(known) => Ok(known.is_match(text)),
        None => Regex::new(pattern).map(|new| new.is_match(text)),
    };
    found.map_err(|error| ExecutionError::function_error("matches", error))
}

fn column(program: &Program, id: u64) -> Option<usize> {
    let (start, _) = program.source_info().offset_for(id)?;
    usize::try_from(start).ok()?.checked_add(1)
}

/// Collects the names of a condition and refuses those that nothing has.
struct Names<'p> {
    program: &'p Program,
    /// Names that macros such as `exists` bind.
    bound: Vec<&'p str>,
    depth: usize,
    variables: BTreeMap<String, Variable>,
    functions: BTreeSet<Function>,
    patterns: Patterns,
}

impl<'p> Names<'p> {
    fn new(program: &'p Program) -> Self {
        let (variables, functions, patterns) = (BTreeMap::new(), BTreeSet::new(), Patterns::new());
        Self { program, bound: Vec::new(), depth: 0, variables, functions, patterns }
    }

    fn walk(&mut self, part: &'p IdedExpr) -> Result<(), ConditionError> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH_MAX {
            return Err(plain(format!("is nested deeper than {DEPTH_MAX} levels")));
        }
        let outcome = self.inner(part);
        self.depth = self.depth.saturating_sub(1);
        outcome
    }

    fn inner(&mut self, part: &'p IdedExpr) -> Result<(), ConditionError> {
        match &part.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.ident(part.id, name),
            Expr::Select(select) => self.walk(&select.operand),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.walk(element)),
            Expr::Call(call) => {
                match Function::named(&call.func_name) {
                    Some(Function::Matches) => self.pattern(call.args.last()),
                    Some(_) => self.attribute(part.id, &call.args)?,
                    None => {}
                }
                self.functions.extend(Function::named(&call.func_name));
                call.target.iter().try_for_each(|target| self.walk(target))?;
                call.args.iter().try_for_each(|arg| self.walk(arg))
            }
            Expr::Comprehension(all) => {
                self.walk(&all.iter_range)?;
                self.walk(&all.accu_init)?;
                let outer = self.bound.len();
                self.bound.extend([all.iter_var.as_str(), all.accu_var.as_str()]);
                self.bound.extend(all.iter_var2.as_deref());
                let inner =
                    [&all.loop_cond, &all.loop_step, &all.result].into_iter().try_for_each(|part| self.walk(part));
                self.bound.truncate(outer);
                inner
            }
            Expr::Map(_) | Expr::Struct(_) => Err(self.error(part.id, "maps and messages have no use here".into())),
        }
    }

    fn ident(&mut self, id: u64, name: &str) -> Result<(), ConditionError> {
        if self.bound.contains(&name) || TYPES.contains(&name) {
            return Ok(());
        }
        let Some(variable) = Variable::named(name) else {
            let close = close_names(name);
            let help = (!close.is_empty()).then(|| format!("did you mean `{}`?", close.join("` or `")));
            return Err(ConditionError { help, ..self.error(id, format!("there is no attribute `{name}`")) });
        };
        self.variables.insert(name.to_owned(), variable);
        Ok(())
    }

    /// `tag('…')` with a name that is written out must name an attribute.
    fn attribute(&self, id: u64, args: &[IdedExpr]) -> Result<(), ConditionError> {
        let [IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] = args else { return Ok(()) };
        if attribute(name.inner()).is_some() {
            return Ok(());
        }
        let help = Some("name it by keyword or as four and four hexadecimal digits: tag('0018,0015')".to_owned());
        let message = format!("`{}` names no attribute", name.inner());
        Err(ConditionError { help, ..self.error(id, message) })
    }

    /// A pattern that is written out is compiled once; what is none is found when the part is run.
    fn pattern(&mut self, arg: Option<&IdedExpr>) {
        if let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(pattern)), .. }) = arg {
            let compiled = Regex::new(pattern.inner()).ok();
            self.patterns.extend(compiled.map(|compiled| (pattern.inner().to_owned(), compiled)));
        }
    }

    fn error(&self, id: u64, message: String) -> ConditionError {
        ConditionError { message, column: column(self.program, id), help: None }
    }
}

/// A value as a person reads it, bounded.
fn shown(value: &Value) -> String {
    const LENGTH_MAX: usize = 200;
    let text = match value {
        Value::String(text) => format!("'{text}'"),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::List(values) => {
            let values: Vec<String> = values.iter().take(20).map(shown).collect();
            format!("[{}]", values.join(", "))
        }
        other => format!("{other:?}"),
    };
    if text.chars().count() <= LENGTH_MAX { text } else { text.chars().take(LENGTH_MAX).chain(['…']).collect() }
}

/// A value as it is kept and shown: whether there is one, of what names a patient.
fn shown_of(variable: Variable, value: &Value) -> String {
    match shown(value) {
        text if text == "''" || text == "[]" || !variable.names_a_patient() => text,
        _ => "(not shown)".to_owned(),
    }
}

/// The kind of a value, for people.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::Bool(_) => "true or false",
        Value::List(_) => "a list",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::VR;
    use dicom_dictionary_std::tags;
    use dokuei_dataset::Tag;

    fn radiograph() -> Attributes {
        let mut data = Dataset::new();
        data.put_text(tags::MODALITY, VR::CS, "CR");
        data.put_text(tags::STUDY_DESCRIPTION, VR::LO, "Thorax p.a. 胸部");
        data.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
        data.put_text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\POST");
        data.put_text(tags::KVP, VR::DS, "120.5");
        data.put_text(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.1");
        data.put_u16(tags::ROWS, &[2_500]);
        data.put_text(Tag(0x0019, 0x0010), VR::LO, "ACME 1.0");
        data.put_text(Tag(0x0019, 0x1010), VR::LO, "bedside");
        data.put_text(tags::PATIENT_AGE, VR::AS, "045Y");
        Attributes::new(Arc::new(data), "CR_ROOM_1", "DOKUEI", "1.2.840.10008.1.2.1")
    }

    fn check(text: &str, expected: bool) {
        let checked = Condition::compile(text).unwrap_or_else(|error| panic!("{text}: {error:?}")).check(&radiograph());
        assert_eq!((checked.matched, checked.error), (expected, None), "{text}");
    }

    #[test]
    fn conditions_over_attributes() {
        check("modality in ['CR', 'DX']", true);
        check("body_part == 'CHEST' || study_description.matches('(?i)chest|thorax')", true);
        check("study_description.matches('胸部$')", true);
        check("matches(study_description, '^Thorax') && 'CR_ROOM_1'.matches('^' + modality)", true);
        check("image_type.exists(t, t.matches('^P.{6}$'))", true);
        check("body_part == ''", true);
        check("view_position != ''", false);
        check("rows >= 1000 && columns == 0", true);
        check("kvp > 100.0", true);
        check("kvp > 100", true);
        check("image_type.exists(t, t == 'POST')", true);
        check("'DERIVED' in image_type", false);
        check("size(image_type) == 3 && image_type[0] == 'ORIGINAL'", true);
        check("sop_class_name.contains('Radiography') && sop_class.endsWith('.1.1.1')", true);
        check("patient_age_years >= 18", true);
        check("calling_ae.startsWith('CR_') && called_ae == 'DOKUEI'", true);
        check("transfer_syntax == '1.2.840.10008.1.2.1'", true);
        check("tag('0019,1010') == 'bedside' && tag('Modality') == 'CR' && tag('Rows') == '2500'", true);
        check("number('KVP') == 120.5 && values('ImageType')[1] == 'PRIMARY'", true);
        check("present('PatientAge') && !present('PatientSex')", true);
        check("number_of_frames == 1 ? true : false", true);
        check("true", true);
        check(&["modality == 'CT'"; 200].join(" || "), false);
    }

    #[test]
    fn patterns_that_are_written_out_are_compiled_once() {
        let text = "modality.matches('^C') || image_type.exists(t, t.matches('(?i)post')) || 'x'.matches(modality)";
        let patterns: Vec<String> = Condition::compile(text).unwrap().patterns.keys().cloned().collect();
        assert_eq!(patterns, ["(?i)post", "^C"]);
    }

    #[test]
    fn what_fails_on_an_instance_is_not_a_match_and_says_why() {
        let condition = Condition::compile("image_type[7] == 'X'").unwrap();
        let checked = condition.check(&radiograph());
        assert!(!checked.matched);
        assert!(checked.error.is_some());
        assert_eq!(checked.values["image_type"], "['ORIGINAL', 'PRIMARY', 'POST']");
    }

    #[test]
    fn who_a_patient_is_is_compared_and_not_kept() {
        let text = "patient_id == 'X-1' && patient_birth_date != '' && referring_physician_name == '' && rows == 0";
        let mut data = Dataset::new();
        data.put_text(tags::PATIENT_ID, VR::LO, "X-1");
        data.put_text(tags::PATIENT_BIRTH_DATE, VR::DA, "19700101");
        data.put_text(tags::PATIENT_SEX, VR::CS, "F");
        let of = Attributes::new(Arc::new(data), "", "", "");
        let checked = Condition::compile(text).unwrap().check(&of);
        assert!(checked.matched);
        assert_eq!(
            checked.values.into_iter().collect::<Vec<_>>(),
            [
                ("patient_birth_date", "(not shown)"),
                ("patient_id", "(not shown)"),
                ("referring_physician_name", "''"),
                ("rows", "0")
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let checked = Condition::compile("patient_sex == 'F' && patient_age_years == 0").unwrap().check(&of);
        assert_eq!(checked.values["patient_sex"], "'F'");
    }

    fn refused(text: &str, words: &[&str], column: Option<usize>) {
        let error = Condition::compile(text).expect_err(text);
        let said = format!("{} {}", error.message, error.help.clone().unwrap_or_default());
        for word in words {
            assert!(said.contains(word), "{word} is not in {said}");
        }
        if column.is_some() {
            assert_eq!(error.column, column, "{text}: {said}");
        }
    }

    #[test]
    fn mistakes_are_found_before_anything_runs() {
        refused("modality = 'CR'", &["compare with `==`"], Some(10));
        refused("modality in ['CR'", &["mismatched input the end"], Some(18));
        refused("  ", &["is empty"], None);
        refused("modalty == 'CR'", &["modalty", "did you mean `modality`"], Some(1));
        refused("modality == 'CR' && bodypart == 'X'", &["bodypart", "body_part"], Some(21));
        refused("modality", &["a text, not true or false"], Some(1));
        refused("rows + 1", &["a number"], None);
        refused("modality == 'CR' || rows", &["a number"], None);
        refused("true || modality.matches('(')", &["regex", "unclosed group"], None);
        refused("true || nosuch(rows)", &["nosuch"], None);
        refused("true || rows > 'a'", &["overload"], None);
        refused("tag('BodyPart') == ''", &["BodyPart", "names no attribute"], None);
        refused(&"(".repeat(5_000), &["bytes"], None);
        refused(&"(".repeat(4_000), &["nested"], None);
        refused(&"!".repeat(4_000), &["nested"], None);
        refused(&format!("rows {} > 0", "+ 1 ".repeat(800)), &["nested"], None);
        refused(&"true ? true : ".repeat(290), &["nested"], None);
        refused(&format!("{}true", "true ? true : ".repeat(280)), &["nested"], None);
        refused("{'a': 1}['a'] == 1", &["maps"], None);
        refused("modality == 5", &["compares a text with a number"], None);
        refused("true || rows != '1000'", &["compares a number with a text"], None);
        refused("image_type == 'PRIMARY'", &["compares a list with a text"], None);
        refused("patient_age_known == 'yes'", &["compares true or false with a text"], None);
        refused("modality in ['CR', 5]", &["compares a text with a number"], None);
    }
}
