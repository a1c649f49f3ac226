//! Everything that can be wrong with images, labels, splits and cards.

use crate::Split;
use std::io;
use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong; [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No cache folder is given and the system names none.
    #[error("no cache folder is known on this system")]
    NoCacheFolder,
    /// The data source does not exist.
    #[error("there is no folder or CSV file `{}`", path.display())]
    NoSuchData {
        /// What was given.
        path: PathBuf,
    },
    /// The data source is a file, and not a table.
    #[error("`{}` is neither a folder nor a CSV file", path.display())]
    NotData {
        /// What was given.
        path: PathBuf,
    },
    /// A folder without class folders.
    #[error("`{}` has no class folders", path.display())]
    NoClasses {
        /// The folder.
        path: PathBuf,
    },
    /// No image at all.
    #[error("`{}` has no images", path.display())]
    NoImages {
        /// The folder or table.
        path: PathBuf,
    },
    /// Both names of the validation folder are in use.
    #[error("`{}` has both `val/` and `valid/`", path.display())]
    TwoValidationFolders {
        /// The data folder.
        path: PathBuf,
    },
    /// A classifier needs a choice.
    #[error("`{}` has one class only: {class}", path.display())]
    OneClass {
        /// The data.
        path: PathBuf,
        /// Its class.
        class: String,
    },
    /// A class without training images.
    #[error("class `{class}` has no training images in `{}`", path.display())]
    EmptyClass {
        /// The class.
        class: String,
        /// Its folder, or the table.
        path: PathBuf,
    },
    /// A split that training needs has no images.
    #[error("`{}` has no {split} images", path.display())]
    EmptySplit {
        /// The data.
        path: PathBuf,
        /// The split.
        split: Split,
    },
    /// Two splits have other class folders.
    #[error(
        "class folders differ between `{}` and `{}`\n  expected: {}\n  found:    {}",
        first.display(), second.display(), expected.join(", "), found.join(", ")
    )]
    ClassesDiffer {
        /// The split folder whose classes were read first.
        first: PathBuf,
        /// The one that differs.
        second: PathBuf,
        /// Classes in `first`.
        expected: Vec<String>,
        /// Classes in `second`.
        found: Vec<String>,
    },
    /// A table that cannot be used.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Table {
        /// The CSV file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A list names files that are not there.
    #[error("{missing} of {total} listed files are missing, first `{}`", path.display())]
    ListedFilesMissing {
        /// The first missing file.
        path: PathBuf,
        /// How many are missing.
        missing: usize,
        /// How many are listed.
        total: usize,
    },
    /// Bytes that are not a picture, or not one that is taken.
    #[error("cannot decode the image: {reason}")]
    Undecodable {
        /// What is wrong with the bytes.
        reason: String,
    },
    /// A file that is not a picture, or not one that is taken.
    #[error("cannot decode `{}`: {reason}", path.display())]
    UnreadableImage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// More images are unreadable than can be left out silently.
    #[error("{unreadable} of {total} images cannot be read, first `{}`: {reason}", path.display())]
    TooManyUnreadable {
        /// How many cannot be read.
        unreadable: usize,
        /// Of how many.
        total: usize,
        /// The first of them.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A picture could not be encoded.
    #[error("cannot encode the image: {reason}")]
    Encode {
        /// Why.
        reason: String,
    },
    /// A preprocessing step that is not understood.
    #[error("preprocessing step `{step}`: {reason}")]
    BadStep {
        /// The step as written.
        step: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Steps that cannot be joined into one preprocessing.
    #[error("preprocessing: {reason}")]
    BadPreprocess {
        /// What is wrong.
        reason: String,
    },
    /// A buffer or picture of another size than the preprocessing makes.
    #[error("preprocessing: {what} is {found}, expected {expected}")]
    WrongSize {
        /// What was measured.
        what: &'static str,
        /// As the preprocessing says.
        expected: String,
        /// As given.
        found: String,
    },
    /// A model card of another version.
    #[error("the model card has version {found}; this program knows version {known}")]
    CardVersion {
        /// In the file.
        found: String,
        /// Known here.
        known: u32,
    },
    /// A key of the model card that is missing or cannot be read.
    #[error("the model card's `{key}`: {reason}")]
    BadCard {
        /// The key in the file's metadata.
        key: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// The card's classes are not as many as the model's outputs.
    #[error("the model card names {classes} classes, the model has {outputs} outputs")]
    ClassCount {
        /// On the card.
        classes: usize,
        /// In the model.
        outputs: usize,
    },
    /// Something else that cannot be used as it is.
    #[error("{message}")]
    Invalid {
        /// What is wrong with what.
        message: String,
        /// What [`Error::hint`] gives.
        hint: Option<String>,
    },
    /// A place beyond the last image.
    #[error("there is no image {index}: there are {count}")]
    NoSuchImage {
        /// The place asked for.
        index: usize,
        /// How many images there are.
        count: usize,
    },
    /// A loader's thread ended before its work was done.
    #[error("a thread that prepares images ended early")]
    WorkerEnded,
    /// A file that could not be downloaded.
    #[error("cannot download `{url}`: {reason}")]
    Download {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// A place to fetch from, or a hash, that cannot be used.
    #[error("cannot fetch from `{from}`: {reason}")]
    FetchSource {
        /// As given.
        from: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A fetched file with another content than expected.
    #[error(
        "`{}` is not the expected file: its SHA-256 differs\n  expected: {expected}\n  found:    \
         {found}", path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The SHA-256 it should have.
        expected: String,
        /// The SHA-256 it has.
        found: String,
    },
    /// A git-LFS pointer in place of the file.
    #[error("`{}` is a git-LFS pointer, not the file itself", path.display())]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// An archive that is damaged, or not safe to unpack.
    #[error("cannot unpack `{}`: {reason}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// What is wrong with a file, without its name, where others say which file it is.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Undecodable { reason } | Self::UnreadableImage { reason, .. } => reason,
            Self::Read { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }

    /// The next thing to do, if there is one to name.
    ///
    /// ```
    /// let error = data::Dataset::open("no/such/folder".as_ref(), 0).unwrap_err();
    /// assert!(error.hint().unwrap().contains("--data"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoCacheFolder => "name one with `--cache DIR` or `CLASSIFIER_CACHE`",
            Self::NoSuchData { .. } => "check the path after `--data`",
            Self::NotData { .. } => {
                "give a folder with one folder per class, or a `.csv` with the columns `path,label`"
            }
            Self::NoClasses { .. } => {
                "put the images into one folder per class, e.g. `ants/` and `bees/`, or below \
                 `train/`, `val/` and `test/`"
            }
            Self::NoImages { .. } => {
                "images are files ending in jpg, jpeg, png, ppm, bmp, pgm, tif, tiff or webp"
            }
            Self::TwoValidationFolders { .. } => "keep one of them",
            Self::OneClass { .. } => "add a folder with the images of at least one other class",
            Self::EmptyClass { .. } => "add images to it, or remove the class from every split",
            Self::EmptySplit { .. } => {
                "add images: validation takes a tenth of each class that has two or more"
            }
            Self::ClassesDiffer {
                expected, found, ..
            } => return Some(differing(expected, found)),
            Self::ListedFilesMissing { .. } => {
                "name the folder that the list's paths start from with `--data DIR`"
            }
            Self::TooManyUnreadable { .. } => {
                "repair or remove them; up to 5 % unreadable images are left out and listed"
            }
            Self::BadStep { .. } | Self::BadPreprocess { .. } => {
                "for example `decode(rgb, exif)|resize_short(256, bilinear, antialias)|\
                 center_crop(224)|scale(1/255)|normalize(imagenet)|layout(nchw, f32)`"
            }
            Self::CardVersion { .. } => "use a newer release of this program",
            Self::BadCard { .. } => {
                "show it with `deploy card show`, or write a good one with `deploy card attach`"
            }
            Self::Invalid { hint, .. } => return hint.clone(),
            Self::WorkerEnded => "this is a fault of the program: please report it",
            Self::Download { .. } => {
                "run the command again to go on where it stopped; `--from` takes a mirror's URL, a \
                 file or a folder"
            }
            Self::FetchSource { .. } => {
                "`--from` takes a URL, a file, or a folder that holds the file"
            }
            Self::Checksum { .. } => {
                "fetch it again, from elsewhere with `--from`; if this is the file you want, say so \
                 with `--sha256`"
            }
            Self::LfsPointer { .. } => {
                "fetch the file itself, with `git lfs pull` or from the host's media address"
            }
            _ => return None,
        };
        Some(hint.to_string())
    }
}

/// Which folders to add or to remove.
fn differing(expected: &[String], found: &[String]) -> String {
    let without = |a: &[String], b: &[String]| {
        a.iter()
            .filter(|name| !b.contains(name))
            .map(|n| format!("`{n}`"))
            .collect::<Vec<_>>()
    };
    let (missing, extra) = (without(expected, found), without(found, expected));
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("missing in the second: {}", missing.join(", ")));
    }
    if !extra.is_empty() {
        parts.push(format!("only in the second: {}", extra.join(", ")));
    }
    format!(
        "{}; every split needs the same class folders",
        parts.join("; ")
    )
}
