//! Tables of labelled images (CSV): a data set's `path,label[,split]` and a run's `split.csv`.

use crate::{Error, Result, Split, class_names, text, write};
use std::collections::HashSet;
use std::iter;
use std::path::Path;

/// One image in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Path as written, relative to the table's folder or to the data folder.
    pub path: String,
    /// Name of the class, in Unicode's composed form.
    pub label: String,
    /// The split, where the table has that column and this row a value in it.
    pub split: Option<Split>,
    /// Line in the file, from 1.
    pub line: u64,
}

/// The classes of a table, sorted by name.
pub(crate) fn classes(rows: &[Row]) -> Vec<String> {
    let mut classes: Vec<String> = rows.iter().map(|row| row.label.clone()).collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// Reads a table with the columns `path`, `label` and, if there, `split`; others are ignored, and so are blanks
/// around a cell.
///
/// # Errors
/// When the file cannot be read, is not UTF-8, a column is missing, a cell is empty, a split is unknown or a path is
/// listed twice.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("photos.csv");
/// std::fs::write(&path, "path,label,split\na/1.jpg,ants,train\n")?;
/// assert_eq!(classifold_data::table::read(&path)?[0].label, "ants");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(path: &Path) -> Result<Vec<Row>> {
    parse(path, csv::Trim::All)
}

/// As [`read`], of a list that [`Dataset::write_list`](crate::Dataset::write_list) wrote: a folder's name may begin
/// or end with blanks.
///
/// # Errors
/// As [`read`].
pub fn read_list(path: &Path) -> Result<Vec<Row>> {
    parse(path, csv::Trim::Headers)
}

fn parse(path: &Path, trim: csv::Trim) -> Result<Vec<Row>> {
    let mut seen = HashSet::new();
    let rows = records(path, trim, ["path", "label"])?.into_iter();
    rows.map(|record| {
        let [path_cell, label] = record.cells;
        if !seen.insert(path_cell.clone()) {
            let reason = format!("`{path_cell}` is listed twice");
            return Err(Error::table(path, record.line, &reason));
        }
        Ok(Row {
            path: path_cell,
            label: class_names::nfc(&label),
            split: record.split,
            line: record.line,
        })
    })
    .collect()
}

/// A row of a table: the cells of the columns that it must have, in their order, and its split.
pub(crate) struct Record<const N: usize> {
    pub(crate) cells: [String; N],
    pub(crate) split: Option<Split>,
    /// Line in the file, from 1.
    pub(crate) line: u64,
}

/// Reads a table with the columns `names` and, if there, `split`.
pub(crate) fn records<const N: usize>(
    path: &Path,
    trim: csv::Trim,
    names: [&str; N],
) -> Result<Vec<Record<N>>> {
    let text = text::read(path)?;
    let wrong = |line, reason: String| Error::table(path, line, &reason);
    let mut reader = csv::ReaderBuilder::new()
        .trim(trim)
        .from_reader(text.as_bytes());
    let headers = reader
        .headers()
        .map_err(|error| wrong(1, error.to_string()))?
        .clone();
    let column = |name: &str| {
        headers
            .iter()
            .position(|header| header.eq_ignore_ascii_case(name))
    };
    let mut columns = [0; N];
    for (index, name) in columns.iter_mut().zip(names) {
        *index = column(name).ok_or_else(|| {
            let found = headers.iter().collect::<Vec<_>>().join(",");
            wrong(1, format!("there is no column `{name}` among `{found}`"))
        })?;
    }
    let split_column = column("split");
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            wrong(
                error.position().map_or(0, csv::Position::line),
                error.to_string(),
            )
        })?;
        let position = record.position();
        let line = position.expect("the reader sets the position").line();
        let split =
            match split_column
                .and_then(|column| record.get(column))
                .filter(|text| !text.is_empty())
            {
                None => None,
                Some(text) => Some(text.trim().to_ascii_lowercase().parse().map_err(
                    |error: crate::split::ParseSplitError| wrong(line, error.to_string()),
                )?),
            };
        let mut cells = std::array::from_fn(|_| String::new());
        for ((cell, column), name) in cells.iter_mut().zip(columns).zip(names) {
            match record.get(column) {
                Some(text) if !text.is_empty() => *cell = text.to_owned(),
                _ => return Err(wrong(line, format!("the column `{name}` is empty"))),
            }
        }
        rows.push(Record { cells, split, line });
    }
    Ok(rows)
}

/// Writes rows of path, label and split below a header.
pub(crate) fn write<'a>(path: &Path, rows: impl Iterator<Item = [&'a str; 3]>) -> Result<()> {
    write::atomically_with(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        for row in iter::once(["path", "label", "split"]).chain(rows) {
            table.write_record(row)?;
        }
        table.flush()
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<Row>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs_err::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn columns_are_found_by_name() {
        let rows = rows("\u{feff}Label, note,path\nants,x,a b.jpg\n").unwrap();
        let row = Row {
            path: "a b.jpg".into(),
            label: "ants".into(),
            split: None,
            line: 2,
        };
        assert_eq!(rows, [row]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, expected) in [
            ("file,label\na,b\n", 1, "no column `path`"),
            ("path,label\na.jpg,ants\nb.jpg,\n", 3, "`label` is empty"),
            (
                "path,label,split\na.jpg,ants,holdout\n",
                2,
                "`holdout` is not a split",
            ),
            ("path,label\na.jpg,ants\na.jpg,bees\n", 3, "listed twice"),
            ("path,label\na.jpg\n", 2, "record"),
        ] {
            let error = rows(text).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&format!("t.csv`, line {line}: ")), "{text}");
            assert!(text.contains(expected), "{text}");
        }
    }
}
