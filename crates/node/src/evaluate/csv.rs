//! Tables of comma-separated values (RFC 4180): a cell in quotes may hold commas, line ends, and quotes twice.
//! A quote that is never closed is an error: a lenient reader takes the rest of the table for one cell, and its rows go missing.

/// A row and the line it begins at.
#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) cells: Vec<String>,
}

/// The rows of a table, all as long as the first; cells without blanks around them, blank lines left out.
///
/// # Errors
/// A quote that is not closed, or a row of another length; with its line.
pub(crate) fn read(text: &str) -> Result<Vec<Row>, String> {
    let mut reading = Reading { rows: Vec::new(), cells: Vec::new(), cell: String::new(), begun: 1, line: 1 };
    // Spreadsheets put a byte order mark in front.
    let mut characters = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        match (character, quoted) {
            ('"', true) if characters.next_if_eq(&'"').is_some() => reading.cell.push('"'),
            ('"', true) => quoted = false,
            ('"', false) if reading.cell.trim().is_empty() => quoted = true,
            (',', false) => reading.end_cell(),
            ('\n', false) => reading.end_row()?,
            (other, _) => {
                reading.line += usize::from(other == '\n');
                reading.cell.push(other);
            }
        }
    }
    if quoted {
        return Err(format!("line {}: a quote is not closed", reading.begun));
    }
    reading.end_row()?;
    Ok(reading.rows)
}

/// A line of a table, with its end.
pub(crate) fn line(cells: &[&str]) -> String {
    let cell = |cell: &&str| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => (*cell).to_owned(),
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\r\n"
}

struct Reading {
    rows: Vec<Row>,
    cells: Vec<String>,
    cell: String,
    /// Where the row began.
    begun: usize,
    line: usize,
}

impl Reading {
    fn end_cell(&mut self) {
        self.cells.push(self.cell.trim().to_owned());
        self.cell.clear();
    }

    fn end_row(&mut self) -> Result<(), String> {
        self.end_cell();
        let cells = std::mem::take(&mut self.cells);
        let begun = self.begun;
        self.line += 1;
        self.begun = self.line;
        if cells.iter().all(String::is_empty) {
            return Ok(());
        }
        if let Some(first) = self.rows.first().filter(|first| first.cells.len() != cells.len()) {
            return Err(format!("line {begun} has {} cells, the heading has {}", cells.len(), first.cells.len()));
        }
        self.rows.push(Row { line: begun, cells });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &[&str])]) {
        let rows = read(text).unwrap();
        let rows: Vec<(usize, Vec<&str>)> =
            rows.iter().map(|row| (row.line, row.cells.iter().map(String::as_str).collect())).collect();
        let expected: Vec<(usize, Vec<&str>)> = expected.iter().map(|(line, cells)| (*line, cells.to_vec())).collect();
        assert_eq!(rows, expected, "{text:?}");
    }

    #[test]
    fn cells_as_spreadsheets_write_them() {
        check("a,b\n1,2", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("\u{feff}a , b\r\n\r\n1,\r\n", &[(1, &["a", "b"]), (3, &["1", ""])]);
        check(
            "a,b\n\"x, y\nz\", \"say \"\"no\"\"\"\n5\",6\n",
            &[(1, &["a", "b"]), (2, &["x, y\nz", "say \"no\""]), (4, &["5\"", "6"])],
        );
        check("", &[]);
    }

    #[test]
    fn mistakes_have_their_line() {
        assert_eq!(read("a,b\n1,2\n3\n"), Err("line 3 has 1 cells, the heading has 2".into()));
        assert_eq!(read("a,b\n\n\"1,2\n3,4\n"), Err("line 3: a quote is not closed".into()));
    }

    #[test]
    fn what_is_written_is_read() {
        let cells = ["plain", "with, comma", "with \"quotes\"", "", "two\nlines"];
        assert_eq!(read(&line(&cells)), Ok(vec![Row { line: 1, cells: cells.map(str::to_owned).to_vec() }]));
    }
}
