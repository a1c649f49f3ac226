//! Class names: from a text file, for models without a card, and compared with each other.
//!
//! Knows no model, so the caller must compare their number with the outputs.

use crate::{Error, Result, text};
use std::path::Path;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// A name in Unicode's composed form (NFC): macOS writes `ä` into folder names as `a` with two dots behind it.
///
/// ```
/// assert_eq!(classifold_data::class_names::nfc("Ka\u{308}fer"), "K\u{e4}fer");
/// ```
#[must_use]
pub fn nfc(name: &str) -> String {
    if is_nfc(name) {
        return name.into();
    }
    name.nfc().collect()
}

/// The index of a class by its name, whichever Unicode form the two have.
///
/// ```
/// let classes = ["ants".to_string(), "Ka\u{308}fer".to_string()];
/// assert_eq!(classifold_data::class_names::position(&classes, "K\u{e4}fer"), Some(1));
/// ```
#[must_use]
pub fn position(classes: &[String], name: &str) -> Option<usize> {
    let same = |class: &String| class == name || nfc(class) == nfc(name);
    classes.iter().position(same)
}

/// Reads class names, one per line in the order of a model's outputs; blanks around a name and lines at the end do
/// not count.
///
/// # Errors
/// When the file cannot be read, is not UTF-8, is empty, or has an empty line between two names: with it, every
/// name below would belong to the output after its own.
///
/// ```
/// let file = tempfile::NamedTempFile::new()?;
/// std::fs::write(file.path(), "ants\nbees\n")?;
/// assert_eq!(classifold_data::class_names::read(file.path())?, ["ants", "bees"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(path: &Path) -> Result<Vec<String>> {
    let text = text::read(path)?;
    // A mark within the text remains where files were joined.
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let lines = text.trim_end_matches(blank).lines();
    let names: Vec<String> = lines.map(|line| nfc(line.trim_matches(blank))).collect();
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
    use fs_err as fs;

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
        assert_eq!(
            parse("\u{feff}ants\r\n\u{feff}bees\r\n\u{feff}").unwrap(),
            expected
        );
        assert_eq!(parse("\u{feff}\u{feff}ants\nbees").unwrap(), expected);
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
