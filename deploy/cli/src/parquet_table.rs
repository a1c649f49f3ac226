//! Tables as Parquet files, written in groups of rows. Knows no images.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// Rows of a group: what is kept in memory until it is written.
const GROUP: usize = 8192;

/// What a column holds. Every value may be missing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// In single precision.
    Number,
    /// A list of numbers in single precision.
    Numbers,
}

/// A value of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(Option<&'a str>),
    Number(Option<f32>),
    Numbers(Option<&'a [f32]>),
}

/// The values of a column in a group of rows, as Parquet has them: a level for each says whether it is missing (0), and
/// one whether it begins a row (0) or continues the list of the one before.
#[derive(Default)]
struct Column {
    texts: Vec<ByteArray>,
    numbers: Vec<f32>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

/// Bytes of the file that are to be handed on: Parquet's writer asks for `Send`, which standard output is not.
#[derive(Clone, Default)]
struct Pending(Arc<Mutex<Vec<u8>>>);

impl Pending {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A table that is being written.
pub(crate) struct ParquetTable<'w> {
    out: &'w mut dyn Write,
    pending: Pending,
    writer: SerializedFileWriter<Pending>,
    columns: Vec<Column>,
    rows: usize,
}

impl<'w> ParquetTable<'w> {
    /// Begins a file with these columns.
    pub(crate) fn new(out: &'w mut dyn Write, columns: &[(&str, Kind)]) -> Result<Self> {
        let field = |(name, kind): &(&str, Kind)| match kind {
            Kind::Text => format!("optional binary {name} (UTF8);"),
            Kind::Number => format!("optional float {name};"),
            Kind::Numbers => {
                format!(
                    "optional group {name} (LIST) {{ repeated group list {{ required float element; }} }}"
                )
            }
        };
        let fields: String = columns.iter().map(field).collect();
        let schema = parse_message_type(&format!("message table {{ {fields} }}"))?;
        let pending = Pending::default();
        let properties = Arc::new(WriterProperties::builder().build());
        Ok(Self {
            out,
            writer: SerializedFileWriter::new(pending.clone(), Arc::new(schema), properties)?,
            pending,
            columns: columns.iter().map(|_| Column::default()).collect(),
            rows: 0,
        })
    }

    /// Adds a row: one value for each column, of its kind.
    pub(crate) fn push(&mut self, row: &[Value<'_>]) -> Result<()> {
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.push(*value);
        }
        self.rows += 1;
        if self.rows == GROUP {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes what is left, and the end of the file.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.write_group()?;
        self.writer.finish()?;
        self.hand_on()
    }

    fn write_group(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        let mut columns = self.columns.iter_mut();
        while let Some(mut writer) = group.next_column()? {
            let column = columns.next().map(std::mem::take).unwrap_or_default();
            let definitions = Some(column.definitions.as_slice());
            let repetitions = Some(column.repetitions.as_slice());
            match writer.untyped() {
                ColumnWriter::ByteArrayColumnWriter(writer) => {
                    writer.write_batch(&column.texts, definitions, repetitions)?
                }
                ColumnWriter::FloatColumnWriter(writer) => {
                    writer.write_batch(&column.numbers, definitions, repetitions)?
                }
                _ => unreachable!("columns are of texts and of numbers"),
            };
            writer.close()?;
        }
        group.close()?;
        self.rows = 0;
        self.hand_on()
    }

    fn hand_on(&mut self) -> Result<()> {
        Ok(self.out.write_all(&self.pending.take())?)
    }
}

impl Column {
    fn push(&mut self, value: Value<'_>) {
        let definition = match value {
            Value::Text(Some(text)) => {
                self.texts.push(text.into());
                1
            }
            Value::Number(Some(number)) => {
                self.numbers.push(number);
                1
            }
            // An empty list is there, and has no elements: its level is between those.
            Value::Numbers(Some(numbers)) if !numbers.is_empty() => {
                self.numbers.extend(numbers);
                self.definitions.extend(vec![2; numbers.len() - 1]);
                self.repetitions.push(0);
                self.repetitions.extend(vec![1; numbers.len() - 1]);
                self.definitions.push(2);
                return;
            }
            Value::Numbers(Some(_)) => 1,
            Value::Text(None) | Value::Number(None) | Value::Numbers(None) => 0,
        };
        self.definitions.push(definition);
        self.repetitions.push(0);
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;

    #[test]
    fn rows_come_back_in_their_order_over_several_groups() {
        let columns = [
            ("path", Kind::Text),
            ("score", Kind::Number),
            ("features", Kind::Numbers),
        ];
        let mut file = Vec::new();
        let mut table = ParquetTable::new(&mut file, &columns).unwrap();
        let count = 2 * GROUP + 5;
        for row in 0..count {
            let (path, features) = (format!("{row}.jpg"), [row as f32, -1.5]);
            let is_there = row % 7 != 3;
            let values = [
                Value::Text(Some(path.as_str())),
                Value::Number(is_there.then_some(row as f32 / 8.0)),
                Value::Numbers(is_there.then_some(&features[..row % 3])),
            ];
            table.push(&values).unwrap();
        }
        table.finish().unwrap();
        let reader = SerializedFileReader::new(bytes(file)).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 3);
        let mut rows = 0;
        for (number, row) in reader.get_row_iter(None).unwrap().enumerate() {
            let row = row.unwrap();
            assert_eq!(row.get_string(0).unwrap(), &format!("{number}.jpg"));
            if number % 7 == 3 {
                assert!(row.get_float(1).is_err() && row.get_list(2).is_err());
            } else {
                assert_eq!(row.get_float(1).unwrap(), number as f32 / 8.0);
                assert_eq!(row.get_list(2).unwrap().len(), number % 3);
            }
            rows += 1;
        }
        assert_eq!(rows, count);
    }

    fn bytes(file: Vec<u8>) -> impl parquet::file::reader::ChunkReader + 'static {
        let path = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(path.path(), file).unwrap();
        std::fs::File::open(path.path()).unwrap()
    }
}
