//! Fields of a JSON object, read by name; an error names the file and the field.

use crate::{Error, Result};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::path::Path;

/// An object of a file.
pub(super) struct Fields<'a> {
    pub(super) path: &'a Path,
    pub(super) map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The value of a field; none where the field is missing or `null`.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// An object in a field.
    pub(super) fn object(&self, key: &str) -> Option<Fields<'a>> {
        let map = self.get(key)?.as_object()?;
        Some(Fields {
            path: self.path,
            map,
        })
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key)?.as_str()
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = |value: &Value| value.as_f64().ok_or_else(|| self.wrong(key, "a number"));
        self.get(key).map(number).transpose()
    }

    /// Numbers as the text of a list, or a single number as its own.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<String>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let single = |value: &Value| value.as_f64().map(|number| number as f32);
        let text = match value.as_array() {
            Some(list) => list
                .iter()
                .map(single)
                .collect::<Option<Vec<f32>>>()
                .map(|list| format!("{list:?}")),
            None => single(value).map(|number| format!("{number:?}")),
        };
        text.map(Some)
            .ok_or_else(|| self.wrong(key, "a list of numbers"))
    }

    /// Numbers of pixels or channels.
    pub(super) fn counts(&self, key: &str) -> Result<Option<Vec<u32>>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let count = |value: &Value| value.as_u64().and_then(|count| u32::try_from(count).ok());
        let counts = match value.as_array() {
            Some(list) => list.iter().map(count).collect(),
            None => count(value).map(|count| vec![count]),
        };
        counts
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a list of whole numbers"))
    }

    /// The error of a value of another kind.
    pub(super) fn wrong(&self, key: &str, expected: &str) -> Error {
        self.refuse(key, format!("is not {expected}"))
    }

    /// The error of a value that cannot be honoured.
    pub(super) fn refuse(&self, key: &str, reason: impl Display) -> Error {
        let value = self
            .get(key)
            .map_or_else(String::new, |value| format!(": {value}"));
        super::refused(self.path, format!("`{key}{value}` {reason}"))
    }
}

/// `int(value / fraction)` in Python, as a number of pixels.
pub(super) fn divided(value: u32, fraction: f64) -> u32 {
    // A fraction of nothing saturates, and the grammar refuses the size.
    (f64::from(value) / fraction) as u32
}
