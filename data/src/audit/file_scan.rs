//! Scan of one file: hashes, header and thumbnail. Knows nothing of its label or of other files.

use super::near_duplicates::Thumbnail;
use super::{Depth, Hash};
use crate::RgbImage;
use crate::decode::{self, ImageHeader, Limits};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Results of reading one file.
pub(super) struct FileScan {
    /// SHA-256 of the bytes; `None` where they cannot be read.
    pub(super) hash: Option<Hash>,
    /// The header, or why the file cannot be decoded.
    pub(super) header: Result<ImageHeader, String>,
    /// SHA-256 of size and pixels, where they were decoded.
    pub(super) pixel_hash: Option<Hash>,
    /// `None` where the image is of one colour or was not decoded.
    pub(super) thumbnail: Option<Thumbnail>,
}

impl FileScan {
    /// Reads, and with [`Depth::Pixels`] decodes, a file once.
    pub(super) fn new(path: &Path, depth: Depth, limits: &Limits) -> Self {
        let mut scan = Self {
            hash: None,
            header: Err(String::new()),
            pixel_hash: None,
            thumbnail: None,
        };
        let bytes = match decode::read(path, limits) {
            Ok(bytes) => bytes,
            Err(error) => {
                scan.header = Err(error.reason());
                return scan;
            }
        };
        scan.hash = Some(Sha256::digest(&bytes).into());
        scan.header = decode::read_header(&bytes).map_err(pixels::Error::reason);
        if scan.header.is_ok() && depth == Depth::Pixels {
            match decode::decode(&bytes, limits) {
                // A good header with damaged pixels counts as unreadable.
                Err(error) => scan.header = Err(error.reason()),
                Ok(image) => {
                    scan.pixel_hash = Some(hash_pixels(&image));
                    scan.thumbnail = Thumbnail::new(&image);
                }
            }
        }
        scan
    }

    /// That of a file that is not read: the hash of its features stands for that of its bytes.
    pub(super) fn of_features(hash: Option<Hash>) -> Self {
        Self {
            hash,
            header: Err("not read".to_owned()),
            pixel_hash: None,
            thumbnail: None,
        }
    }

    /// Width and height as displayed, pixels.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        let header = self.header.as_ref().ok()?;
        Some((header.width, header.height))
    }

    /// Whether it was decoded and is of one colour.
    pub(super) fn is_blank(&self) -> bool {
        self.pixel_hash.is_some() && self.thumbnail.is_none()
    }

    /// Equal for copies of an image: by pixels, where they were decoded.
    pub(super) fn identity(&self) -> Option<Hash> {
        self.pixel_hash.or(self.hash)
    }
}

fn hash_pixels(image: &RgbImage) -> Hash {
    // With the size: the same bytes in another shape are another image.
    let mut hash = Sha256::new();
    hash.update(image.width().to_le_bytes());
    hash.update(image.height().to_le_bytes());
    hash.update(image.as_raw());
    hash.finalize().into()
}
