//! Cache key of features: everything they depend on besides the bytes of their image. It knows no file.

use std::fmt;

use data::augment::Augment;
use sha2::{Digest, Sha256};

/// The seed of the views: fixed, so that runs of other seeds, rates and heads share their rows.
const VIEWS_SEED: u64 = 1;

/// A view of an image: as it is, or augmented.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// As it is evaluated, without augmentation.
    Original,
    /// Augmented at random, the same way each time.
    Augmented {
        augment: Augment,
        /// Which of the augmented views, counted from 1.
        number: usize,
    },
}

impl View {
    /// The first `count` views: the original, then augmented ones.
    pub fn first(count: usize, augment: &Augment) -> Vec<View> {
        let augmented = (1..count).map(|number| View::Augmented {
            augment: augment.clone(),
            number,
        });
        std::iter::once(View::Original).chain(augmented).collect()
    }

    /// The seed of an image's variation, which depends on the image's content and the view's
    /// number alone: not on the run's seed, nor on where the image stands in a split.
    pub(super) fn seed(number: usize, image: &[u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        // A domain separator: no other hash here has the same input.
        hash.update(b"view\0");
        hash.update(VIEWS_SEED.to_le_bytes());
        hash.update((number as u64).to_le_bytes());
        hash.update(image);
        hash.finalize().into()
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            View::Original => f.write_str("plain"),
            View::Augmented { augment, number } => {
                write!(f, "{number} of seed {VIEWS_SEED}: {augment}")
            }
        }
    }
}

/// Key of a feature table: everything that its features depend on besides the images. Its text is the identity.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheKey {
    /// SHA-256 of the backbone's file, in hexadecimal, and what was changed of it.
    pub backbone: String,
    /// Name of the value in the backbone that is the features.
    pub cut: String,
    /// Preprocessing as text.
    pub preprocess: String,
    /// Decoder of JPEG files.
    pub decoder: String,
    pub view: View,
    /// Engine, with its version.
    pub engine: String,
}

impl CacheKey {
    pub fn file_name(&self) -> String {
        let hash = Sha256::digest(self.to_string());
        format!("{}.safetensors", data::hash::hex(&hash[..16]))
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "features 1, trainer {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "backbone {}", self.backbone)?;
        writeln!(f, "cut {}", self.cut)?;
        writeln!(f, "preprocess {}", self.preprocess)?;
        writeln!(f, "decoder {}", self.decoder)?;
        writeln!(f, "view {}", self.view)?;
        write!(f, "engine {}", self.engine)
    }
}

#[cfg(test)]
mod tests {
    use super::{CacheKey, View};

    fn key() -> CacheKey {
        CacheKey {
            backbone: "ab".into(),
            cut: "flat".into(),
            preprocess: "decode(rgb)".into(),
            decoder: "mozjpeg 0.10".into(),
            view: View::Original,
            engine: "onnxruntime 1.28.0 cpu".into(),
        }
    }

    fn augmented(number: usize, augment: &str) -> View {
        View::Augmented {
            augment: augment.parse().unwrap(),
            number,
        }
    }

    #[test]
    fn another_part_is_another_shelf() {
        let text = |text: &str| text.to_string();
        let others = [
            key(),
            CacheKey {
                backbone: text("ac"),
                ..key()
            },
            CacheKey {
                cut: text("pool"),
                ..key()
            },
            CacheKey {
                preprocess: text("decode(rgb, exif)"),
                ..key()
            },
            CacheKey {
                decoder: text("zune-jpeg 0.5"),
                ..key()
            },
            CacheKey {
                view: augmented(1, "hflip(0.5)"),
                ..key()
            },
            CacheKey {
                view: augmented(2, "hflip(0.5)"),
                ..key()
            },
            CacheKey {
                view: augmented(1, "hflip(0.4)"),
                ..key()
            },
            CacheKey {
                engine: text("onnxruntime 1.28.1 cpu"),
                ..key()
            },
        ];
        for (i, one) in others.iter().enumerate() {
            for (j, two) in others.iter().enumerate() {
                assert_eq!(i == j, one.file_name() == two.file_name(), "{one}\n{two}");
            }
        }
    }

    #[test]
    fn a_variation_depends_on_the_view_and_on_the_image() {
        let (one, two) = ([1; 32], [2; 32]);
        assert_eq!(View::seed(1, &one), View::seed(1, &one));
        assert_ne!(View::seed(1, &one), View::seed(2, &one));
        assert_ne!(View::seed(1, &one), View::seed(1, &two));
    }

    #[test]
    fn the_first_view_is_the_plain_one() {
        let augment = "hflip(0.5)".parse().unwrap();
        let views = View::first(3, &augment);
        assert_eq!(
            views,
            [
                View::Original,
                augmented(1, "hflip(0.5)"),
                augmented(2, "hflip(0.5)")
            ]
        );
    }
}
