//! Text files that other programs wrote: UTF-8, or advice.

use crate::error::reading;
use crate::{Error, Result};
use std::path::Path;

/// Reads a text in UTF-8, without the byte order mark that spreadsheets and editors put in front.
pub(crate) fn read(path: &Path) -> Result<String> {
    let bytes = fs_err::read(path).map_err(reading(path))?;
    let refused = |encoding: &str, name: &str| {
        let path = path.display();
        Error::with_hint(
            format!("`{path}` is not UTF-8 text but {encoding}"),
            format!("save it as UTF-8, e.g. `iconv -f {name} -t UTF-8 \"{path}\" > utf8.txt`"),
        )
    };
    // No name contains a zero byte, and half of the bytes of Latin letters in UTF-16 are zero.
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.contains(&0) {
        return Err(refused("UTF-16 (or no text)", "UTF-16"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
        refused(
            &format!("Latin-1 or Windows-1252 (line {line})"),
            "WINDOWS-1252",
        )
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.into(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_encodings_get_advice() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let utf16 = |big_endian: bool, mark: &str| -> Vec<u8> {
            let units = mark.encode_utf16().chain("ants\nbees\n".encode_utf16());
            let bytes = |unit: u16| {
                if big_endian {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            };
            units.flat_map(bytes).collect()
        };
        for (bytes, encoding) in [
            (utf16(false, "\u{feff}"), "UTF-16"),
            (utf16(true, "\u{feff}"), "UTF-16"),
            (utf16(false, ""), "UTF-16"),
            (b"ants\nK\xe4fer\n".to_vec(), "WINDOWS-1252"),
        ] {
            fs_err::write(file.path(), bytes).unwrap();
            let error = read(file.path()).unwrap_err();
            assert!(
                error.to_string().contains("is not UTF-8 text but "),
                "{error}"
            );
            let hint = error.hint().unwrap();
            assert!(
                hint.contains(&format!("iconv -f {encoding} -t UTF-8")),
                "{hint}"
            );
        }
        assert!(
            read(file.path())
                .unwrap_err()
                .to_string()
                .contains("(line 2)")
        );
        fs_err::write(file.path(), "\u{feff}Käfer").unwrap();
        assert_eq!(read(file.path()).unwrap(), "Käfer");
    }
}
