//! The table of features that a run was trained on, read again where the images are not here. It knows no command.

use std::path::Path;

use data::{Audit, Dataset, Split};

use crate::context::TrainingContext;
use crate::dataset;
use crate::error::{Error, Result};
use crate::features::{FeatureTableFile, ImportedFeatures};
use crate::recipe::Recipe;
use crate::restore::Restored;
use crate::run_dir::RunDir;
use crate::training_set::are_here;

/// The data set and the features of a run on a table, divided as in the training. `None`: its images are here, or it had
/// no table.
///
/// # Errors
/// The table cannot be read, or is no longer that of the run.
pub fn open(
    run: &RunDir,
    recipe: &Recipe,
    restored: &Restored,
    context: &TrainingContext<'_>,
) -> Result<Option<(Dataset, ImportedFeatures)>> {
    let (Some(table), Some(backbone)) = (&recipe.feature_table, restored.network.backbone()) else {
        return Ok(None);
    };
    // A folder has images.
    if Path::new(&recipe.data).is_dir() && *table != recipe.data {
        return Ok(None);
    }
    let file = FeatureTableFile::open(Path::new(table))?;
    let dataset = dataset::of_table(&file, recipe, Some(run), context)?;
    if are_here(dataset.samples(Split::Val)) {
        return Ok(None);
    }
    let (expected, found) = (&restored.state.classes, &dataset.classes);
    if expected != found {
        return Err(Error::refused(format!(
            "`{table}` has other classes than the run\n  expected: {}\n  found:    {}",
            expected.join(", "),
            found.join(", ")
        )));
    }
    let features = dataset::read_features(&file, &dataset, recipe, context)?;
    features.check(backbone, &restored.preprocess.preprocess)?;
    // Fewer or more rows without splits would be divided otherwise.
    if run.audit().is_file() {
        let own: Audit = serde_json::from_slice(&fs_err::read(run.audit())?)?;
        if own.fingerprint.is_some() && own.fingerprint != features.audit(&dataset).fingerprint {
            return Err(Error::refused_with_hint(
                format!("the rows of `{table}` are not those that the run was trained on"),
                "put the run's own table in its place, or start a new run",
            ));
        }
    }
    context
        .printer
        .log(format!("the images are not here: features of `{table}`"));
    Ok(Some((dataset, features)))
}
