//! Preprocessing as a setting: text in `config.toml`, where a card has a list of steps.

use std::fmt;
use std::str::FromStr;

use data::Preprocess;
use serde::{Deserialize, Serialize};

/// Preprocessing that is written as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PreprocessText(pub Preprocess);

impl FromStr for PreprocessText {
    type Err = data::pixels::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(PreprocessText)
    }
}

impl fmt::Display for PreprocessText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for PreprocessText {
    type Error = data::pixels::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PreprocessText> for String {
    fn from(preprocess: PreprocessText) -> Self {
        preprocess.to_string()
    }
}
