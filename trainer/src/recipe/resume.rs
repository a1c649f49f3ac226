//! Configuration of a resumed run: its own, with the settings that may change.

use std::path::Path;

use toml::{Table, Value};

use super::{Flags, Recipe, absolute, data_name, flags, not_written};
use crate::error::{Error, Result};

/// Settings that a resumed run may change. With any other changed it would equal no uninterrupted run. Data may have
/// moved: its fingerprint tells whether it is the same.
pub(super) const MAY_CHANGE: [&str; 12] = [
    "data",
    "epochs",
    "early-stop",
    "strict-images",
    "no-test",
    "no-calibrate",
    "folds",
    "seeds",
    "threads",
    "device",
    "memory",
    "feature-cache",
];

impl Recipe {
    /// This run's recipe with what was typed to resume it.
    ///
    /// # Errors
    /// [`Error::ResumeChanges`] when a setting differs that may not change.
    pub fn resumed(&self, flags: &Flags, cache: &Path) -> Result<Recipe> {
        let mut resumed = self.clone();
        flags.apply(&mut resumed);
        if flags.has("data") {
            resumed.data = data_name(&resumed.data, cache)?;
        }
        if flags.has("backbone") {
            resumed.backbone = resumed.backbone.as_deref().map(absolute).transpose()?;
        }
        if flags.has("feature-table") {
            let table = resumed.feature_table.as_deref();
            resumed.feature_table = table.map(absolute).transpose()?;
        }
        // A table could not hold them.
        resumed.check_seeds()?;
        // As TOML values: one comparison for settings of all types.
        let [own, wanted] = [self.table()?, resumed.table()?];
        for key in flags::keys::<Recipe>() {
            if MAY_CHANGE.contains(&key.as_str()) || own.get(&key) == wanted.get(&key) {
                continue;
            }
            let text = |table: &Table| text(&key, table.get(&key));
            return Err(Error::ResumeChanges {
                expected: text(&own),
                found: text(&wanted),
                flag: key,
            });
        }
        resumed.check()?;
        Ok(resumed)
    }

    pub(super) fn table(&self) -> Result<Table> {
        Table::try_from(self).map_err(not_written)
    }
}

/// A value as it is typed.
pub(super) fn text(key: &str, value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        // 2, where TOML would write 2.0.
        Some(Value::Float(number)) => number.to_string(),
        Some(value) => value.to_string(),
        None if key == "backbone" => "the custom ResNet".into(),
        None if key == "preprocess" => "the network's own".into(),
        None => "none".into(),
    }
}
