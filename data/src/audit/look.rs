//! One look at one file. Knows nothing of its label or of other files.

use super::alike::Mark;
use super::{Depth, Hash};
use crate::RgbImage;
use crate::decode::{self, Facts, Limits};
use sha2::{Digest, Sha256};
use std::path::Path;

/// What a file is.
pub(super) struct Look {
    /// Of its bytes; none where they cannot be read.
    pub(super) hash: Option<Hash>,
    /// What its header says, or why it is no picture.
    pub(super) facts: Result<Facts, String>,
    /// Of its size and pixels, where they were decoded.
    pub(super) pixels: Option<Hash>,
    /// What it looks like; none where it is blank or was not decoded.
    pub(super) mark: Option<Mark>,
}

impl Look {
    /// Reads, and with [`Depth::Pixels`] decodes, a file once.
    pub(super) fn at(path: &Path, depth: Depth, limits: &Limits) -> Self {
        let nothing = |reason| Self {
            hash: None,
            facts: Err(reason),
            pixels: None,
            mark: None,
        };
        let bytes = match decode::read(path, limits) {
            Ok(bytes) => bytes,
            Err(error) => return nothing(error.reason()),
        };
        let hash = Some(Sha256::digest(&bytes).into());
        let facts = decode::facts(&bytes).map_err(pixels::Error::reason);
        let picture = match (&facts, depth) {
            (Ok(_), Depth::Pixels) => decode::decode(&bytes, limits),
            _ => {
                return Self {
                    hash,
                    facts,
                    ..nothing(String::new())
                };
            }
        };
        match picture {
            Err(error) => Self {
                hash,
                ..nothing(error.reason())
            },
            Ok(picture) => Self {
                hash,
                facts,
                pixels: Some(pixels(&picture)),
                mark: Mark::of(&picture),
            },
        }
    }

    /// Width and height as shown, pixels.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        let facts = self.facts.as_ref().ok()?;
        Some((facts.width, facts.height))
    }

    /// Whether it was decoded and is of one colour.
    pub(super) fn is_blank(&self) -> bool {
        self.pixels.is_some() && self.mark.is_none()
    }

    /// What equal pictures have in common.
    pub(super) fn identity(&self) -> Option<Hash> {
        self.pixels.or(self.hash)
    }
}

fn pixels(picture: &RgbImage) -> Hash {
    let mut hash = Sha256::new();
    hash.update(picture.width().to_le_bytes());
    hash.update(picture.height().to_le_bytes());
    hash.update(picture.as_raw());
    hash.finalize().into()
}
