//! Number of views of a training image that a frozen backbone sees.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Views of each training image; as text a number or `fresh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TomlViews", into = "TomlViews")]
pub enum Views {
    /// So many, each computed once: the image as it is, then augmented ones.
    Kept(usize),
    /// A new augmented one every epoch.
    Fresh,
}

impl Views {
    /// The image as it is. The default by cross-validation on training images: see
    /// `docs/benchmarks/views.md`.
    pub const ORIGINAL: Self = Self::Kept(1);
    /// The default where augmentation is asked for by name.
    pub const AUGMENTED: Self = Self::Kept(4);
}

impl FromStr for Views {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "fresh" {
            return Ok(Self::Fresh);
        }
        match text.parse() {
            Ok(count) if (1..=1000).contains(&count) => Ok(Self::Kept(count)),
            _ => Err(format!(
                "`{text}` is neither a number from 1 to 1000 nor `fresh`"
            )),
        }
    }
}

impl fmt::Display for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(count) => count.fmt(f),
            Self::Fresh => f.write_str("fresh"),
        }
    }
}

/// As a file has it: `views = 3` or `views = "fresh"`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum TomlViews {
    Number(u64),
    Text(String),
}

impl TryFrom<TomlViews> for Views {
    type Error = String;

    fn try_from(value: TomlViews) -> Result<Self, String> {
        match value {
            TomlViews::Number(number) => number.to_string().parse(),
            TomlViews::Text(text) => text.parse(),
        }
    }
}

impl From<Views> for TomlViews {
    fn from(views: Views) -> Self {
        match views {
            Views::Kept(count) => Self::Number(count as u64),
            Views::Fresh => Self::Text(views.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Views;

    #[test]
    fn a_number_or_fresh() {
        for (text, views) in [
            ("1", Views::Kept(1)),
            ("8", Views::Kept(8)),
            ("fresh", Views::Fresh),
        ] {
            assert_eq!(text.parse::<Views>(), Ok(views));
            assert_eq!(views.to_string(), text);
            let json = serde_json::to_string(&views).unwrap();
            assert_eq!(
                serde_json::from_str::<Views>(&json).unwrap(),
                views,
                "{json}"
            );
        }
        for wrong in ["0", "-1", "1001", "2.5", "Fresh", ""] {
            assert!(wrong.parse::<Views>().is_err(), "{wrong}");
        }
    }
}
