//! SHA-256 as hexadecimal text. Knows no file by name.

use std::io::Read;
use std::path::Path;

use fs_err as fs;
use sha2::{Digest, Sha256};

/// Bytes as hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the file's content.
pub fn file(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_of_abc_is_the_one_of_the_standard() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::file(file.path()).unwrap(), expected);
    }
}
