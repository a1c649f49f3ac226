//! Features that other machines computed, in a table: the same matrices that an extractor gives. They know no printer and
//! no loop.

mod columns;
mod matrices;
mod table_file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::audit::Audit;
use data::{Dataset, Preprocess, Sample, Split, Unreadable};
use deploy::FeatureOrigin;
use models::Backbone;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

pub use table_file::FeatureTableFile;

use super::{Features, Hash};
use crate::error::{Error, Result};

/// Features of a table, one matrix for each split.
pub struct ImportedFeatures {
    path: PathBuf,
    origin: String,
    width: usize,
    splits: [Arc<Features>; 3],
    /// Images of the data set without features.
    pub unreadable: Vec<Unreadable>,
    /// Rows of the table that are of no image of the data set.
    pub num_unused: usize,
}

impl ImportedFeatures {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn features(&self, split: Split) -> Arc<Features> {
        Arc::clone(&self.splits[split as usize])
    }

    /// Refuses features that are not those of a network's backbone for prepared images.
    ///
    /// # Errors
    /// They are of another file, of another value of it, of images that are prepared otherwise, or of another number.
    pub fn check(&self, backbone: &Backbone, preprocess: &Preprocess) -> Result<()> {
        let file = &backbone.file;
        let expected = FeatureOrigin {
            sha256: file.identity(),
            values: file.cut.values.clone(),
            preprocess: preprocess.clone(),
        };
        let expected = expected.to_string();
        let (table, name) = (self.path.display(), file.path.display());
        if self.origin != expected {
            let hash = |origin: &str| origin.split(' ').next().unwrap_or_default().to_owned();
            let is_other_file = hash(&self.origin) != hash(&expected);
            let (is, hint) = match is_other_file {
                true => (
                    format!("features of another backbone than `{name}`"),
                    "give the file that `deploy cut` read with `--backbone`, or compute the table with its cut",
                ),
                false => (
                    format!(
                        "other features of `{name}`: of other values, or of images that are prepared otherwise"
                    ),
                    "give `--preprocess` and `--cut-at` as the table has them, or compute it with a new cut",
                ),
            };
            return Err(Error::refused_with_hint(
                format!(
                    "`{table}` has {is}\n  expected: {expected}\n  found:    {}",
                    self.origin
                ),
                hint,
            ));
        }
        if self.width != backbone.width {
            return Err(Error::refused_with_hint(
                format!(
                    "`{table}` has rows of {} features, `{name}` gives {}",
                    self.width, backbone.width
                ),
                "compute the table with the cut of this backbone",
            ));
        }
        Ok(())
    }

    /// The audit of the data set, of which no file is read: the features stand for the images.
    pub fn audit(&self, dataset: &Dataset) -> Audit {
        let rows = self.splits.iter().flat_map(|features| {
            let samples = features.samples().iter().enumerate();
            samples.map(move |(index, sample)| (sample, features.row(0, index)))
        });
        let rows: Vec<(&Sample, &[f32])> = rows.collect();
        let hash = |row: &[f32]| -> Hash {
            let mut hash = Sha256::new();
            row.iter()
                .for_each(|value| hash.update(value.to_le_bytes()));
            hash.finalize().into()
        };
        let hashes: HashMap<&Path, Hash> = rows
            .par_iter()
            .map(|(sample, row)| (sample.path.as_path(), hash(row)))
            .collect();
        Audit::of_features(dataset, &|path| hashes.get(path).copied())
    }
}
