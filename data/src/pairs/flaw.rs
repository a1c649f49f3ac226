//! Flaws of pairs, as names and tables show them. Refuses nothing and knows no pixels.

/// Kind of a flaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// An identity has images in more than one split.
    SeveralSplits,
    /// An image is paired with itself.
    WithItself,
    /// A pair is listed with two labels.
    TwoLabels,
    /// A pair is listed again, mirrored or as it is.
    Repeated,
    /// An identity has fewer than two images of its own.
    SingleImage,
    /// A split has no pairs of one answer.
    MissingAnswer,
}

/// Something that is wrong, or may be, with pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Its kind.
    pub kind: FlawKind,
    /// Description in one line.
    pub message: String,
    /// Line of the table, from 1; none of folders.
    pub line: Option<u64>,
    /// The images, relative to the data root.
    pub paths: Vec<String>,
}

impl Flaw {
    /// A flaw of a row.
    pub(super) fn of_row(kind: FlawKind, line: u64, message: String, paths: &[&String]) -> Self {
        Self {
            kind,
            message,
            line: Some(line),
            paths: paths.iter().map(|path| (*path).clone()).collect(),
        }
    }

    /// A flaw of a data set.
    pub(super) fn of_data(kind: FlawKind, message: String, paths: Vec<String>) -> Self {
        Self {
            kind,
            message,
            line: None,
            paths,
        }
    }
}
