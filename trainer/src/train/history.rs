//! Training history, one row per epoch: `metrics.csv`. It knows no network.

use std::path::Path;

use report::run_files::EpochRow;

use crate::error::Result;

/// Writes all rows anew, so that no kill leaves half a row.
pub(crate) fn write(path: &Path, rows: &[EpochRow]) -> Result<()> {
    let mut table = csv::Writer::from_writer(vec![]);
    for row in rows {
        table.serialize(row).map_err(std::io::Error::from)?;
    }
    let bytes = table
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    Ok(data::write::atomically(path, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

    #[test]
    fn metrics_csv_has_a_header_and_one_row_per_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let row = |epoch| EpochRow {
            epoch,
            lr: 1e-3,
            train_loss: 0.7,
            train_accuracy: 50.0,
            val_loss: 0.6,
            val_accuracy: 62.5,
            train_seconds: 2.0,
            val_seconds: 0.5,
            train_images_per_second: 110.0,
            val_images_per_second: 48.0,
            train_wait_seconds: 0.25,
        };
        write(&path, &[row(1), row(2)]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,train_seconds,val_seconds,\
             train_images_per_second,val_images_per_second,train_wait_seconds"
        );
        assert_eq!(
            lines[2],
            "2,0.001,0.7,50.0,0.6,62.5,2.0,0.5,110.0,48.0,0.25"
        );
        assert_eq!(lines.len(), 3);
    }
}
