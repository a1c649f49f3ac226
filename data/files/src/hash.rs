//! SHA-256 of files, and hexadecimal text.
//!
//! Errors are the system's: the caller adds the path and the purpose of the file.

use fs_err as fs;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::Path;

/// Bytes as lower-case hexadecimal digits.
///
/// ```
/// assert_eq!(classifold_files::hash::hex(&[0, 0xff]), "00ff");
/// ```
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a file's content.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    // In pieces of 1 MiB: runtimes and weights have gigabytes.
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// SHA-256 of bytes in memory, as 64 hexadecimal digits.
#[must_use]
pub fn sha256_hex_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// [`sha256`] as 64 hexadecimal digits.
///
/// # Errors
/// As [`sha256`].
///
/// ```
/// let file = tempfile::NamedTempFile::new()?;
/// assert!(classifold_files::hash::sha256_hex(file.path())?.starts_with("e3b0c44298fc1c14"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn sha256_hex(path: &Path) -> io::Result<String> {
    Ok(hex(&sha256(path)?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_of_abc_is_the_one_of_the_standard() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::sha256_hex(file.path()).unwrap(), expected);
    }
}
