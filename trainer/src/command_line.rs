//! Command lines of a run, in `command.txt`: quoted so that they can be typed again, without passwords.

use std::env;
use std::path::Path;

use fs_err as fs;

use crate::error::Result;

/// Appends this program's command line to a file, which holds one a line.
pub fn append_command(path: &Path) -> Result<()> {
    let mut text = if path.is_file() {
        fs::read_to_string(path)?
    } else {
        String::new()
    };
    let words = env::args_os().skip(1);
    let words = words.map(|word| word.to_string_lossy().into_owned());
    text.push_str(&shell_line(
        [env!("CARGO_PKG_NAME").to_owned()].into_iter().chain(words),
    ));
    text.push('\n');
    Ok(data::write::atomically(path, text.as_bytes())?)
}

/// This program's command line for another command, without some flags (each has a value) and with other words at its
/// end, to be typed.
pub fn other_command(command: &str, without: &[&str], end: &[&str]) -> String {
    let words = env::args_os().skip(2);
    let words = words.map(|word| word.to_string_lossy().into_owned());
    let words = without_flags(words, without).into_iter();
    let begin = [env!("CARGO_PKG_NAME"), command].map(str::to_owned);
    let end = end.iter().map(|word| (*word).to_owned());
    shell_line(begin.into_iter().chain(words).chain(end))
}

/// Words without some flags and their values, which may be joined to them by `=`.
fn without_flags(words: impl Iterator<Item = String>, flags: &[&str]) -> Vec<String> {
    let mut kept = vec![];
    let mut is_value = false;
    for word in words {
        let is_flag = flags.contains(&word.as_str());
        let is_both = flags.iter().any(|flag| {
            let rest = word.strip_prefix(flag);
            rest.is_some_and(|rest| rest.starts_with('='))
        });
        if !is_value && !is_flag && !is_both {
            kept.push(word);
        }
        is_value = !is_value && is_flag;
    }
    kept
}

/// Arguments joined as a shell reads them.
fn shell_line(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words
        .map(|word| quoted(&without_credentials(&word)))
        .collect();
    words.join(" ")
}

/// A URL without the user name and password before its host.
fn without_credentials(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    // An `@` after the first `/` belongs to the path.
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => word.to_owned(),
    }
}

/// POSIX quoting: plain words as they are, others between single quotes.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\n', " ").replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{shell_line, without_flags};

    #[test]
    fn a_line_can_be_typed_again_and_keeps_no_password() {
        for (words, expected) in [
            (
                &["trainer", "fit", "--lr", "1e-3"][..],
                "trainer fit --lr 1e-3",
            ),
            (&["--data", "my photos"], "--data 'my photos'"),
            (&["--name", "it's"], r"--name 'it'\''s'"),
            (
                &["--augment", "crop(0.08..1)|hflip(0.5)"],
                "--augment 'crop(0.08..1)|hflip(0.5)'",
            ),
            (&["", "a\nb"], "'' 'a b'"),
            (
                &["--backbone=https://me:secret@host/x@1.onnx"],
                "'--backbone=https://***@host/x@1.onnx'",
            ),
            (&["https://host/a@b"], "https://host/a@b"),
        ] {
            assert_eq!(
                shell_line(words.iter().map(|word| (*word).to_owned())),
                expected
            );
        }
    }

    #[test]
    fn flags_are_left_out_with_their_values() {
        let words = [
            "--data", "a", "--steps", "50", "--out=b", "--outer", "--json", "--out", "--lr",
        ];
        let kept = without_flags(
            words.map(String::from).into_iter(),
            &["--steps", "--out", "--json"],
        );
        assert_eq!(kept, ["--data", "a", "--outer", "--lr"]);
    }
}
