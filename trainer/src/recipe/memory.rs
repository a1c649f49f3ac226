//! Amount of memory, as text with a unit.
//!
//! Own code, because `config.toml` must read back as the same number: `bytesize` and `humansize` write
//! rounded amounts (`1.4 GiB`), `parse-size` writes none.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount of memory in bytes. Its text is a number with a unit of `UNITS` or none; it is written
/// with the largest unit of which it is a whole multiple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Memory(pub u64);

/// From the largest to the smallest. `B` is last, since every name ends in it.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
            .unwrap_or((text, 1));
        // A float, for amounts such as `1.5GB`.
        let amount: f64 = number
            .trim()
            .parse()
            .map_err(|_| format!("`{text}` is no amount of memory such as 500MB"))?;
        if !(amount.is_finite() && amount >= 0.0) {
            return Err(format!("`{text}` is no amount of memory such as 500MB"));
        }
        Ok(Memory((amount * unit as f64) as u64))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS
            .iter()
            .find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit));
        match whole {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<String> for Memory {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Memory> for String {
    fn from(memory: Memory) -> Self {
        memory.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn text_and_bytes_go_both_ways() {
        for (text, bytes, canonical) in [
            ("2GB", 2_000_000_000, "2GB"),
            ("1.5 GB", 1_500_000_000, "1500MB"),
            ("64MiB", 64 << 20, "64MiB"),
            ("0", 0, "0"),
            ("123", 123, "123B"),
        ] {
            let memory: Memory = text.parse().unwrap();
            assert_eq!(memory, Memory(bytes), "{text}");
            assert_eq!(memory.to_string(), canonical, "{text}");
            assert_eq!(canonical.parse::<Memory>().unwrap(), memory);
        }
        for wrong in ["", "GB", "-1MB", "2 TB", "inf"] {
            assert!(wrong.parse::<Memory>().is_err(), "{wrong}");
        }
    }
}
