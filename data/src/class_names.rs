//! Class names from a text file, one per line in the order of a model's outputs.
//!
//! For models without a card. Knows no model, so the caller must compare their number with the outputs.

use crate::error::reading;
use crate::{Error, Result};
use fs_err as fs;
use std::path::Path;

/// Reads class names, one per line; blanks around a name and lines at the end do not count.
///
/// # Errors
/// When the file cannot be read, is empty, or has an empty line between two names: with it, every
/// name below would belong to the output after its own.
///
/// ```
/// let file = tempfile::NamedTempFile::new()?;
/// std::fs::write(file.path(), "ants\nbees\n")?;
/// assert_eq!(classifold_data::class_names::read(file.path())?, ["ants", "bees"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(reading(path))?;
    // Editors on Windows put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end();
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    let bad = |reason: &str| {
        Error::with_hint(
            format!("`{}` is no list of class names: {reason}", path.display()),
            "one name per line, in the order of the model's outputs",
        )
    };
    if names.is_empty() {
        return Err(bad("it is empty"));
    }
    match names.iter().position(String::is_empty) {
        Some(index) => Err(bad(&format!("line {} is empty", index + 1))),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn class_names_are_lines_without_gaps() {
        let expected = ["ants", "bees"];
        assert_eq!(parse("ants\r\n bees \n\n").unwrap(), expected);
        assert_eq!(parse("\u{feff}ants\nbees").unwrap(), expected);
        for (text, reason) in [
            ("ants\n\nbees\n", "line 2 is empty"),
            ("\nants\n", "line 1 is empty"),
            ("\n", "it is empty"),
            ("", "it is empty"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().ends_with(reason), "{error}");
            assert!(error.hint().unwrap().starts_with("one name per line"));
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("no/such.txt")).unwrap_err();
        assert!(error.to_string().contains("no/such.txt"), "{error}");
    }
}
