//! The table of labels: which images there are, what is true of them, whose they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::csv::{self, Row};
use crate::args::Labelled;
use crate::outcome::Failure;

/// Missing files named in an error.
const NAMED_MAX: usize = 3;

/// The rows of a table that are evaluated.
pub(crate) struct Labels {
    pub(crate) images: Vec<LabelledImage>,
    /// The table's columns.
    pub(crate) columns: Vec<String>,
    /// Rows without a label.
    pub(crate) unlabelled: usize,
    /// Rows that `--only` leaves out.
    pub(crate) left_out: usize,
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct LabelledImage {
    /// As the table has it.
    pub(crate) file: String,
    pub(crate) path: PathBuf,
    pub(crate) positive: bool,
    /// What the table says of whose image it is.
    pub(crate) patient: Option<String>,
    /// All cells, in the order of the columns.
    cells: Vec<String>,
}

impl LabelledImage {
    /// The cell of a column.
    pub(crate) fn cell(&self, column: usize) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }
}

impl Labels {
    /// Reads the table that the arguments name.
    ///
    /// # Errors
    /// It cannot be read, a column is missing, a label is neither yes nor no, a file is listed twice or not there.
    pub(crate) fn read(arguments: &Labelled) -> Result<Self, Failure> {
        let table = arguments.labels.display().to_string();
        let text = fs::read_to_string(&arguments.labels).map_err(|error| Failure::because(&table, &error))?;
        let rows = csv::read(&text).map_err(|why| Failure::work(format!("{table}: {why}")))?;
        let mut rows = rows.into_iter();
        let columns = rows.next().map(|heading| heading.cells).unwrap_or_default();
        let (file, label) =
            (column(&table, &columns, &arguments.file_column)?, column(&table, &columns, &arguments.label_column)?);
        let patient = match &arguments.patient_column {
            Some(name) => Some(column(&table, &columns, name)?),
            None => columns.iter().position(|name| name == "patient"),
        };
        let only: Vec<(usize, Vec<&str>)> =
            arguments.only.iter().map(|text| condition(&table, &columns, text)).collect::<Result<_, _>>()?;
        let mut labels = Self { images: Vec::new(), columns, unlabelled: 0, left_out: 0 };
        let mut seen = BTreeSet::new();
        for Row { line, cells } in rows {
            let cell = |column: usize| cells.get(column).map_or("", String::as_str);
            if !only.iter().all(|(column, values)| values.contains(&cell(*column))) {
                labels.left_out += 1;
                continue;
            }
            if cell(label).is_empty() {
                labels.unlabelled += 1;
                continue;
            }
            let positive = is_positive(cell(label), &arguments.positive)
                .map_err(|why| Failure::work(format!("{table}: line {line}: {why}")).help(LABELS))?;
            if !seen.insert(cell(file).to_owned()) {
                return Err(Failure::work(format!("{table}: line {line}: {} is listed twice", cell(file))));
            }
            labels.images.push(LabelledImage {
                file: cell(file).to_owned(),
                path: arguments.images.join(cell(file)),
                positive,
                patient: patient.map(cell).filter(|name| !name.is_empty()).map(str::to_owned),
                cells,
            });
        }
        labels.all_there(&arguments.images)?;
        Ok(labels)
    }

    fn all_there(&self, folder: &Path) -> Result<(), Failure> {
        let missing: Vec<&str> =
            self.images.iter().filter(|image| !image.path.is_file()).map(|image| image.file.as_str()).collect();
        if !missing.is_empty() {
            let named = missing.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
            let words = format!("{} images of the table are not in {}: {named}", missing.len(), folder.display());
            return Err(Failure::work(words).help("the file column has paths below --images"));
        }
        if self.images.is_empty() {
            return Err(Failure::work("the table has no image with a label"));
        }
        Ok(())
    }

    /// The index of a column.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn column(&self, name: &str) -> Result<usize, Failure> {
        column("the table", &self.columns, name)
    }
}

const LABELS: &str = "a label is 1 or 0; where the column has words, name the positive ones with --positive";

fn is_positive(label: &str, positive: &[String]) -> Result<bool, String> {
    match label {
        label if !positive.is_empty() => Ok(positive.iter().any(|word| word == label)),
        "1" => Ok(true),
        "0" => Ok(false),
        other => Err(format!("the label is {other:?}")),
    }
}

fn column(table: &str, columns: &[String], name: &str) -> Result<usize, Failure> {
    columns.iter().position(|column| column == name).ok_or_else(|| {
        let words = format!("{table} has no column {name:?}");
        Failure::work(words).help(format!("it has {}; name others with --file-column and the like", columns.join(", ")))
    })
}

/// `COLUMN=VALUE[,VALUE]`.
fn condition<'a>(table: &str, columns: &[String], text: &'a str) -> Result<(usize, Vec<&'a str>), Failure> {
    let (name, values) =
        text.split_once('=').ok_or_else(|| Failure::work(format!("--only {text:?}: write COLUMN=VALUE")))?;
    Ok((column(table, columns, name)?, values.split(',').collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(table: &str, change: impl FnOnce(&mut Labelled)) -> Result<Labels, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png", "c,d.png"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let labels = folder.path().join("labels.csv");
        std::fs::write(&labels, table).unwrap();
        let mut arguments = Labelled {
            images: folder.path().to_owned(),
            labels,
            file_column: "file".into(),
            label_column: "label".into(),
            patient_column: None,
            positive: Vec::new(),
            only: Vec::new(),
        };
        change(&mut arguments);
        Labels::read(&arguments).map_err(|failure| failure.to_string())
    }

    fn rows(labels: &Labels) -> Vec<(&str, bool, Option<&str>)> {
        labels.images.iter().map(|image| (image.file.as_str(), image.positive, image.patient.as_deref())).collect()
    }

    #[test]
    fn zeros_and_ones_with_and_without_patients() {
        let table = "file,label,patient,view\r\na.png,1,7,PA\r\n\"c,d.png\", 0 ,,AP\r\nb.png,,8,PA\r\n";
        let labels = read(table, |_| {}).unwrap();
        assert_eq!(rows(&labels), [("a.png", true, Some("7")), ("c,d.png", false, None)]);
        assert_eq!((labels.unlabelled, labels.left_out, labels.images[1].cell(3)), (1, 0, "AP"));
        assert_eq!(labels.column("view").ok(), Some(3));
    }

    #[test]
    fn words_and_a_part_of_the_table() {
        let table = "name,cls,who,split\na.png,pneumonia,1,val\nb.png,normal,1,train\nc,other,2,val\n";
        let labels = read(&table.replace("\nc,", "\n\"c,d.png\","), |arguments| {
            arguments.file_column = "name".into();
            arguments.label_column = "cls".into();
            arguments.patient_column = Some("who".into());
            arguments.positive = vec!["pneumonia".into(), "opacity".into()];
            arguments.only = vec!["split=val,test".into()];
        });
        let labels = labels.unwrap();
        assert_eq!(rows(&labels), [("a.png", true, Some("1")), ("c,d.png", false, Some("2"))]);
        assert_eq!(labels.left_out, 1);
    }

    #[test]
    fn mistakes_are_named() {
        for (table, expected) in [
            ("file,label\na.png,yes\n", "line 2: the label is \"yes\""),
            ("file,label\na.png,1\na.png,0\n", "line 3: a.png is listed twice"),
            ("file,label\na.png,1\nnowhere.png,0\n", "1 images of the table are not in"),
            ("file,truth\na.png,1\n", "has no column \"label\""),
            ("file,label\na.png,1,2\n", "line 2 has 3 cells, the heading has 2"),
            ("file,label\na.png,\n", "no image with a label"),
        ] {
            let found = read(table, |_| {}).err().unwrap();
            assert!(found.contains(expected), "{found} lacks {expected}");
        }
    }
}
