//! Tables of features that other machines computed.

use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use trainer::features::FeatureTableFile;

use crate::{Target, scratch};

/// A Parquet file of labelled features.
pub const FEATURE_TABLE: Target = Target {
    name: "feature-table",
    run: |bytes| {
        scratch::with_file("table.parquet", bytes, |path| {
            let Ok(table) = FeatureTableFile::open(path) else {
                return;
            };
            let Ok(dataset) = table.dataset(0) else {
                return;
            };
            if let Ok(features) = table.read(&dataset, false) {
                assert!(features.unreadable.len() <= dataset.train.len());
            }
        });
    },
    seeds,
    words: &[
        "PAR1", "path", "label", "split", "features", "backbone", "train", "val",
    ],
};

const SCHEMA: &str = "message table {
    required binary path (UTF8); optional binary label (UTF8); optional binary split (UTF8);
    optional binary backbone (UTF8);
    optional group features (LIST) { repeated group list { optional float element; } }
}";

fn seeds() -> Vec<Vec<u8>> {
    let expected = "a writer of memory does not fail";
    let schema = parse_message_type(SCHEMA).expect("the schema is a constant");
    let properties = Arc::new(WriterProperties::builder().build());
    let mut bytes = Vec::new();
    let writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), properties);
    let mut writer = writer.expect(expected);
    let mut group = writer.next_row_group().expect(expected);
    let texts = [
        ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
        ["ants", "bees", "ants", "bees"],
        ["train", "train", "val", "val"],
        ["00 flat | scale(1/255)"; 4],
    ];
    let mut texts = texts.into_iter();
    while let Some(mut column) = group.next_column().expect(expected) {
        match column.untyped() {
            ColumnWriter::ByteArrayColumnWriter(writer) => {
                let texts = texts.next().unwrap_or_default().map(ByteArray::from);
                let levels = Some(&[1; 4][..]);
                writer.write_batch(&texts, levels, None).expect(expected);
            }
            ColumnWriter::FloatColumnWriter(writer) => {
                let (levels, starts) = ([3; 12], [0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1]);
                writer
                    .write_batch(&[0.5; 12], Some(&levels), Some(&starts))
                    .expect(expected);
            }
            _ => unreachable!("the schema has texts and lists of floats"),
        }
        column.close().expect(expected);
    }
    group.close().expect(expected);
    writer.close().expect(expected);
    vec![bytes]
}
