//! Configuration file in TOML: every key is a flag, and an error names its line.

use std::path::{Path, PathBuf};

use clap::Args;
use fs_err as fs;
use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny};
use serde::de::{MapAccess, Visitor};

use super::flags;
use crate::error::{Error, Result};

/// The text of a configuration whose keys are known.
pub(super) struct ConfigFile {
    path: PathBuf,
    text: String,
    keys: Vec<String>,
}

impl ConfigFile {
    /// Reads a file whose keys are flags of `T`.
    pub(super) fn open<T: Args>(path: &Path) -> Result<Self> {
        let mut file = ConfigFile {
            path: path.to_path_buf(),
            text: fs::read_to_string(path)?,
            keys: vec![],
        };
        let known = flags::keys::<T>();
        file.keys = toml::Deserializer::parse(&file.text)
            .and_then(|document| document.deserialize_map(Keys { known: &known }))
            .map_err(|error| file.refuse(&error.to_string()))?;
        Ok(file)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|own| own == key)
    }

    /// The settings of `T`; the keys of others are passed over.
    ///
    /// One call for each struct, because `serde(flatten)` loses the line of a wrong value.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        toml::from_str(&self.text).map_err(|error| self.refuse(&error.to_string()))
    }

    pub(super) fn refuse(&self, reason: &str) -> Error {
        Error::Config {
            path: self.path.clone(),
            reason: reason.trim_end().into(),
        }
    }
}

/// Collects the keys of a document, of which each must be known.
struct Keys<'a> {
    known: &'a [String],
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut keys = vec![];
        while let Some(key) = map.next_key_seed(Key { known: self.known })? {
            map.next_value::<IgnoredAny>()?;
            keys.push(key);
        }
        Ok(keys)
    }
}

/// Reads one key. The parser adds its line to an error that is raised here, not to one of the map.
struct Key<'a> {
    known: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let key = String::deserialize(deserializer)?;
        if self.known.contains(&key) {
            return Ok(key);
        }
        Err(D::Error::custom(format!(
            "unknown field `{key}`, expected one of `{}`",
            self.known.join("`, `")
        )))
    }
}
