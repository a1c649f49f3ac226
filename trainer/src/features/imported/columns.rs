//! Columns of a Parquet file, some rows at a time: no more than a page is decoded at once. Knows no features.

use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use parquet::basic::{Repetition, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use crate::error::{Error, Result};

/// Rows that are decoded at a time.
const ROWS: usize = 256;

/// A Parquet file.
pub(super) struct ParquetFile {
    path: PathBuf,
    reader: SerializedFileReader<File>,
}

/// The value of a row in a column of lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum List<'a> {
    Numbers(&'a [f32]),
    /// One of its numbers is missing.
    WithGap,
    Missing,
}

impl ParquetFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = fs::File::open(path)?.into_file();
        let reader = read_parquet(path, || SerializedFileReader::new(file))?;
        Ok(Self {
            path: path.to_path_buf(),
            reader,
        })
    }

    /// Names of the columns, of lists and structs too.
    pub(super) fn columns(&self) -> Vec<String> {
        let schema = self.reader.metadata().file_metadata().schema();
        let fields = schema.get_fields().iter();
        fields.map(|field| field.name().to_owned()).collect()
    }

    /// Hands every value of a column of texts or whole numbers to `take`, row by row.
    pub(super) fn texts(
        &self,
        name: &str,
        take: &mut dyn FnMut(Option<&str>) -> Result<()>,
    ) -> Result<()> {
        let (index, column) = self.column(name, 0, "texts")?;
        let is_optional = column.max_def_level() > 0;
        self.groups(index, &mut |reader| match reader {
            ColumnReader::ByteArrayColumnReader(reader) => {
                self.flat(reader, is_optional, &mut |value| match value {
                    None => take(None),
                    Some(bytes) => {
                        let text = std::str::from_utf8(bytes.data());
                        take(Some(text.map_err(|_| self.wrong(name, "UTF-8"))?))
                    }
                })
            }
            ColumnReader::Int64ColumnReader(reader) => {
                self.flat(reader, is_optional, &mut |value| {
                    take(value.map(|value| value.to_string()).as_deref())
                })
            }
            ColumnReader::Int32ColumnReader(reader) => {
                self.flat(reader, is_optional, &mut |value| {
                    take(value.map(|value| value.to_string()).as_deref())
                })
            }
            _ => Err(self.wrong(name, "texts")),
        })
    }

    /// Hands every list of numbers of a column to `take`, row by row.
    pub(super) fn lists(
        &self,
        name: &str,
        take: &mut dyn FnMut(List<'_>) -> Result<()>,
    ) -> Result<()> {
        let what = "lists of 32-bit floats";
        let (index, column) = self.column(name, 1, what)?;
        let is_float = column.physical_type() == Type::FLOAT;
        let levels = ListLevels::of(column);
        self.groups(index, &mut |reader| match reader {
            ColumnReader::FloatColumnReader(mut reader) if is_float => {
                let (mut definitions, mut repetitions) = (vec![], vec![]);
                let mut values: Vec<f32> = vec![];
                loop {
                    definitions.clear();
                    repetitions.clear();
                    values.clear();
                    let (rows, _, _) = read_parquet(&self.path, || {
                        let (levels, starts) = (&mut definitions, &mut repetitions);
                        reader.read_records(ROWS, Some(levels), Some(starts), &mut values)
                    })?;
                    if rows == 0 {
                        return Ok(());
                    }
                    levels.rows(&definitions, &repetitions, &values, take)?;
                }
            }
            _ => Err(self.wrong(name, what)),
        })
    }

    /// The index and the description of a column of values (`depth` 0) or of lists of them (1).
    fn column(&self, name: &str, depth: i16, what: &str) -> Result<(usize, &ColumnDescriptor)> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let own = |column: &ColumnDescriptor| {
            column
                .path()
                .parts()
                .first()
                .is_some_and(|part| part == name)
        };
        let mut columns = schema.columns().iter().enumerate();
        let found = columns.find(|(_, column)| own(column) && column.max_rep_level() == depth);
        let (index, column) = found.ok_or_else(|| self.wrong(name, what))?;
        Ok((index, column.as_ref()))
    }

    /// Hands the reader of a column in every row group to `read`.
    fn groups(
        &self,
        column: usize,
        read: &mut dyn FnMut(ColumnReader) -> Result<()>,
    ) -> Result<()> {
        for group in 0..self.reader.num_row_groups() {
            read(read_parquet(&self.path, || {
                let group = self.reader.get_row_group(group)?;
                group.get_column_reader(column)
            })?)?;
        }
        Ok(())
    }

    fn flat<T: DataType>(
        &self,
        mut reader: ColumnReaderImpl<T>,
        is_optional: bool,
        take: &mut dyn FnMut(Option<&T::T>) -> Result<()>,
    ) -> Result<()> {
        let (mut definitions, mut values) = (vec![], vec![]);
        loop {
            definitions.clear();
            values.clear();
            let (rows, _, _) = read_parquet(&self.path, || {
                reader.read_records(ROWS, Some(&mut definitions), None, &mut values)
            })?;
            if rows == 0 {
                return Ok(());
            }
            let mut values = values.iter();
            for row in 0..rows {
                let is_there = !is_optional || definitions.get(row) == Some(&1);
                take(if is_there { values.next() } else { None })?;
            }
        }
    }

    fn wrong(&self, name: &str, what: &str) -> Error {
        Error::refused(format!(
            "the column `{name}` of `{}` does not hold {what}",
            self.path.display()
        ))
    }
}

/// What the levels of a column of lists mean: how deep each value is defined.
struct ListLevels {
    /// That of a number.
    number: i16,
    /// That of a missing number, where a list may have one.
    gap: Option<i16>,
}

impl ListLevels {
    fn of(column: &ColumnDescriptor) -> Self {
        let number = column.max_def_level();
        let has_gaps = column.self_type().get_basic_info().repetition() == Repetition::OPTIONAL;
        Self {
            number,
            gap: has_gaps.then_some(number - 1),
        }
    }

    /// Hands the lists of whole rows to `take`: a repetition of 0 begins a row.
    fn rows(
        &self,
        definitions: &[i16],
        repetitions: &[i16],
        values: &[f32],
        take: &mut dyn FnMut(List<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut start = 0; // of the row's values
        let mut level = 0;
        while level < definitions.len() {
            // A damaged file may have fewer of one than of the others.
            let rest = repetitions.get(level + 1..).unwrap_or_default();
            let next = rest.iter().position(|rep| *rep == 0);
            let end = next.map_or(definitions.len(), |offset| level + 1 + offset);
            let end = end.min(definitions.len());
            let row = &definitions[level..end];
            let count = row.iter().filter(|level| **level == self.number).count();
            let numbers = values.get(start..start + count).unwrap_or_default();
            take(match numbers {
                _ if self.gap.is_some_and(|gap| row.contains(&gap)) => List::WithGap,
                [] => List::Missing,
                numbers => List::Numbers(numbers),
            })?;
            (start, level) = (start + count, end);
        }
        Ok(())
    }
}

/// What the crate `parquet` reads. It panics at damaged files (60.1), which is an error as any other here.
fn read_parquet<T>(path: &Path, read: impl FnOnce() -> ParquetResult<T>) -> Result<T> {
    // The hook that prints panics is the process's own: one thread at a time exchanges it.
    static HOOK: Mutex<()> = Mutex::new(());
    let guard = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(AssertUnwindSafe(read));
    panic::set_hook(hook);
    drop(guard);
    let result =
        result.unwrap_or_else(|_| Err(ParquetError::General("the file is damaged".into())));
    result.map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &ParquetError) -> Error {
    Error::refused_with_hint(
        format!("`{}` cannot be read as Parquet: {error}", path.display()),
        "give a whole file; what is compressed must be so by Snappy, which is the default of pyarrow",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(levels: &ListLevels, definitions: &[i16], repetitions: &[i16]) -> Vec<String> {
        let count = definitions.iter().filter(|level| **level == levels.number);
        let values: Vec<f32> = (0..count.count()).map(|value| value as f32).collect();
        let mut found = vec![];
        levels
            .rows(definitions, repetitions, &values, &mut |list| {
                found.push(format!("{list:?}"));
                Ok(())
            })
            .unwrap();
        found
    }

    #[test]
    fn a_repetition_of_0_begins_a_row_and_what_is_not_defined_is_missing() {
        // Lists and numbers may be missing: 0 no list, 1 an empty one, 2 no number, 3 a number.
        let optional = ListLevels {
            number: 3,
            gap: Some(2),
        };
        let found = lists(
            &optional,
            &[3, 3, 0, 1, 3, 2, 3, 3],
            &[0, 1, 0, 0, 0, 1, 1, 0],
        );
        let expected = [
            "Numbers([0.0, 1.0])",
            "Missing",
            "Missing",
            "WithGap",
            "Numbers([4.0])",
        ];
        assert_eq!(found, expected);
        // Numbers are always there: 0 no list, 1 an empty one.
        let required = ListLevels {
            number: 2,
            gap: None,
        };
        let found = lists(&required, &[1, 2, 2, 2, 0], &[0, 0, 1, 1, 0]);
        assert_eq!(found, ["Missing", "Numbers([0.0, 1.0, 2.0])", "Missing"]);
        assert!(lists(&required, &[], &[]).is_empty());
    }
}
