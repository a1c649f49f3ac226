//! Errors of decoding, preprocessing and model cards.
//!
//! A variant stands where callers act differently; texts that differ alone share one.

use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a file, an image, preprocessing steps or a card. [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system cannot read a file.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// The bytes are not an image of a supported format, are truncated, or exceed a limit.
    #[error("cannot decode {}: {reason}", subject(path.as_ref()))]
    Undecodable {
        /// The image file; none for bytes in memory.
        path: Option<PathBuf>,
        /// The defect, or the limit that is exceeded.
        reason: String,
    },
    /// A preprocessing step, a buffer or a key of the card cannot be used.
    #[error("{message}")]
    Invalid {
        /// Its subject.
        kind: Kind,
        /// The text to print.
        message: String,
        /// The next step, if there is one.
        hint: Option<&'static str>,
    },
}

/// Subject of an error, for programs that must tell errors apart. The numbers stay what they are: logs, exit codes and
/// other languages may keep them.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An image: its file, its size, or a folder of images. Another image may do.
    Image = 1,
    /// The model file or its card. No image will do.
    Model = 2,
    /// The machine: ONNX Runtime, a provider, the cache folder, the disk. The same call may do elsewhere.
    Runtime = 3,
    /// The caller asked for what cannot be: a mistake of the program.
    Argument = 4,
    /// The caller cancelled the call.
    Cancelled = 5,
    /// The time that the caller gave has passed.
    Timeout = 6,
    /// Every session is in use, and the caller did not want to wait.
    Busy = 7,
}

impl Kind {
    /// The stable number.
    ///
    /// ```
    /// use classifold_pixels::Kind;
    /// let broken = classifold_pixels::decode::decode(b"no image", &Default::default()).unwrap_err();
    /// assert_eq!((broken.kind(), broken.kind().number()), (Kind::Image, 1));
    /// ```
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

fn subject(path: Option<&PathBuf>) -> String {
    path.map_or("the image".into(), |path| format!("`{}`", path.display()))
}

impl Error {
    /// The defect of a file without its name, for lists that name the file themselves.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Undecodable { reason, .. } => reason,
            Self::Files(files::Error::Read { source, .. }) => source.to_string(),
            other => other.to_string(),
        }
    }

    /// The subject of the error.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Invalid { kind, .. } => *kind,
            // The files that this crate reads are images.
            Self::Files(_) | Self::Undecodable { .. } => Kind::Image,
        }
    }

    /// The next step to take, where there is one.
    ///
    /// ```
    /// let error = "sharpen(3)".parse::<classifold_pixels::Preprocess>().unwrap_err();
    /// assert!(error.hint().unwrap().starts_with("for example `decode(rgb, exif)|"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Files(error) => error.hint(),
            Self::Invalid { hint, .. } => hint.map(Into::into),
            Self::Undecodable { .. } => None,
        }
    }
}
