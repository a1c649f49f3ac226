//! Which layers of a backbone are trained besides the new classification layer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The layers that are trained; as text `off`, `all` or `last:3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TomlFineTune", into = "TomlFineTune")]
pub enum FineTune {
    /// The new classification layer alone: the backbone is frozen.
    #[default]
    Off,
    All,
    /// So many of the last layers that multiply by weights (convolutions, matrix products), and the norms after the
    /// first of them.
    Last(usize),
}

impl FromStr for FineTune {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" | "false" => return Ok(Self::Off),
            "all" | "true" => return Ok(Self::All),
            _ => {}
        }
        let count = text.strip_prefix("last:").and_then(|n| n.parse().ok());
        match count {
            Some(count) if count > 0 => Ok(Self::Last(count)),
            _ => Err(format!(
                "`{text}` is neither `all` nor `last:COUNT`, such as `last:3`"
            )),
        }
    }
}

impl fmt::Display for FineTune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::All => f.write_str("all"),
            Self::Last(count) => write!(f, "last:{count}"),
        }
    }
}

/// As a file has it: `fine-tune = true` or `fine-tune = "last:3"`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum TomlFineTune {
    Switch(bool),
    Text(String),
}

impl TryFrom<TomlFineTune> for FineTune {
    type Error = String;

    fn try_from(value: TomlFineTune) -> Result<Self, String> {
        match value {
            TomlFineTune::Switch(on) => on.to_string().parse(),
            TomlFineTune::Text(text) => text.parse(),
        }
    }
}

impl From<FineTune> for TomlFineTune {
    fn from(value: FineTune) -> Self {
        match value {
            FineTune::Off => Self::Switch(false),
            FineTune::All => Self::Switch(true),
            FineTune::Last(_) => Self::Text(value.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FineTune;

    #[test]
    fn off_all_or_so_many_of_the_last_layers() {
        for (text, value) in [
            ("off", FineTune::Off),
            ("all", FineTune::All),
            ("last:3", FineTune::Last(3)),
        ] {
            assert_eq!(text.parse::<FineTune>(), Ok(value));
            assert_eq!(value.to_string(), text);
            let json = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<FineTune>(&json).unwrap(), value);
        }
        for wrong in ["last", "last:0", "last:-1", "3", ""] {
            assert!(wrong.parse::<FineTune>().is_err(), "{wrong}");
        }
    }
}
