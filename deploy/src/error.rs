//! Errors of this crate: kind, message, hint. Knows no types of other modules.

mod runtime;

use std::path::Path;

pub(crate) use machine::error::chain;
pub use pixels::Kind;
use pixels::card::{ENCODE, VERIFY};

/// Stands for the task [`ENCODE`] of a file that is no verifier's.
pub(crate) const CUT_BACKBONE: &str = "cut backbone";

/// The hint where no saved setting can be used.
const TUNE: &str = "measure on this machine with `deploy tune`, and save the setting";

/// An error of this crate. Errors of the crates below have variants of their own; all others are [`Error::Other`], and
/// programs that must tell them apart do so by [`Error::kind`].
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ONNX Runtime library, or what a provider needs of the machine.
    #[error(transparent)]
    Machine(#[from] machine::Error),
    /// The file cannot be read as ONNX.
    #[error(transparent)]
    Onnx(#[from] onnx::Error),
    /// An image, a card or a preprocessing text is wrong.
    #[error(transparent)]
    Pixels(#[from] pixels::Error),
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// A set of labelled images is wrong.
    #[cfg(feature = "eval")]
    #[error(transparent)]
    Data(#[from] data::Error),
    /// Anything else.
    #[error("{message}")]
    Other {
        /// Its subject.
        kind: Kind,
        /// The problem, with what was expected and found.
        message: String,
        /// How to fix it.
        hint: Option<String>,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The subject of the error.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Machine(machine::Error::ProviderName { .. }) => Kind::Argument,
            Self::Machine(_) => Kind::Runtime,
            Self::Onnx(_) => Kind::Model,
            Self::Pixels(error) => error.kind(),
            // The cache folder: images and models are read by `pixels` and `onnx`.
            Self::Files(_) => Kind::Runtime,
            #[cfg(feature = "eval")]
            Self::Data(_) => Kind::Image,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// How to fix it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Onnx(error) => error.hint(),
            Self::Pixels(error) => error.hint(),
            Self::Files(error) => error.hint(),
            #[cfg(feature = "eval")]
            Self::Data(error) => error.hint(),
            Self::Other { hint, .. } => hint.clone(),
        }
    }

    fn other(kind: Kind, message: String) -> Self {
        Self::Other {
            kind,
            message,
            hint: None,
        }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Other { kind, message, .. } => Self::Other {
                kind,
                message,
                hint: Some(hint.into()),
            },
            other => other,
        }
    }
}

/// The model file.
impl Error {
    pub(crate) fn model_load(path: &Path, reason: &str) -> Self {
        let path = path.display();
        let message = format!("ONNX Runtime does not open `{path}`: {reason}");
        Self::other(Kind::Model, message)
    }

    pub(crate) fn model_newer(path: &Path, version: &str, expected: &str, found: &str) -> Self {
        let path = path.display();
        let message = format!(
            "`{path}` is newer than ONNX Runtime {version}\n  expected: {expected}\n  found:    {found}"
        );
        Self::other(Kind::Model, message).with_hint(
            "export it with an older opset, or name a newer library with `ORT_DYLIB_PATH`",
        )
    }

    /// The model does something else than classify images.
    pub(crate) fn not_a_classifier(path: &Path, expected: &str, found: &str) -> Self {
        let path = path.display();
        let message = format!(
            "`{path}` is not an image classifier\n  expected: {expected}\n  found:    {found}"
        );
        Self::other(Kind::Model, message).with_hint(
            "only classifiers with one image input and an output of class scores are run",
        )
    }

    /// The model does another task than it is asked for.
    pub(crate) fn other_task(path: &Path, found: &str) -> Self {
        let path = path.display();
        let (is, hint) = match found {
            CUT_BACKBONE => (
                "gives the features of an image, and no classes",
                "open it as an `Encoder`; `deploy embed`, `deploy score`, `info` and `check` take it",
            ),
            VERIFY => (
                "is a verifier, which compares two images",
                "open it as a `Verifier`; `deploy predict --pair A B`, `deploy eval`, `bench`, `info` and `check` take it",
            ),
            ENCODE => (
                "is the encoder of a verifier: its features mean something beside those of another image",
                "open it as a `Verifier`; `deploy predict --pair A B`, `deploy eval`, `info` and `check` take it",
            ),
            _ => (
                "is a classifier, not a verifier of two images",
                "train a verifier with `trainer fit --task pairs`, or classify single images",
            ),
        };
        Self::other(Kind::Model, format!("`{path}` {is}")).with_hint(hint)
    }

    /// A session of two inputs is asked for elsewhere.
    pub(crate) fn pairs_on_cpu(path: &Path, provider: &str) -> Self {
        let path = path.display();
        Self::other(
            Kind::Argument,
            format!(
                "`{path}` has two inputs, and such sessions run on the CPU alone, not on {provider}"
            ),
        )
        .with_hint("open it as a `Verifier`, which runs its encoder on any provider")
    }

    /// The card of an encoder says what its features do not fit.
    pub(crate) fn bad_comparison(path: &Path, reason: &str) -> Self {
        let message = format!(
            "`{}`: its card's `classifier.comparison`: {reason}",
            path.display()
        );
        Self::other(Kind::Model, message).with_hint("write the encoder anew with `trainer export`")
    }

    /// More than one output may hold the class scores.
    pub(crate) fn several_outputs(path: &Path, found: &str, example: &str) -> Self {
        let path = path.display();
        let message = format!(
            "`{path}` has several outputs\n  expected: one output [N, K], or its name\n  found:    {found}"
        );
        Self::other(Kind::Argument, message).with_hint(format!(
            "choose one with `ClassifierBuilder::output`, such as `{example}`"
        ))
    }

    pub(crate) fn no_output(path: &Path, name: &str, found: &str) -> Self {
        let path = path.display();
        let message =
            format!("`{path}` has no such output\n  expected: `{name}`\n  found:    {found}");
        Self::other(Kind::Argument, message)
            .with_hint("choose one with `ClassifierBuilder::output`")
    }

    /// The file carries no card, and `what` it would say is not known otherwise.
    pub fn no_card(path: &Path, what: &str) -> Self {
        let path = path.display();
        let message = format!("`{path}` does not say {what}: it carries no model card");
        Self::other(Kind::Model, message).with_hint(
            "write it into the file with `deploy card attach`, or give `ClassifierBuilder::classes` and \
             `ClassifierBuilder::preprocess`",
        )
    }

    /// The model stopped while it ran.
    pub fn run(reason: impl std::fmt::Display) -> Self {
        let reason = reason.to_string();
        let error = |message| Self::other(Kind::Model, message);
        let Some((op, node, detail)) = failed_node(&reason) else {
            return error(format!("the model stopped: {reason}"));
        };
        let node = match node {
            "" => format!("a {op} node"),
            name => format!("the {op} node `{name}`"),
        };
        error(format!("the model stopped at {node}: {detail}")).with_hint(
            "a graph that was exported for another number of images, or another size, stops like this: try \
             one image at a time, or export it again with an open batch",
        )
    }

    /// Outputs that are no answer.
    pub(crate) fn not_finite(outputs: &[f32]) -> Self {
        let message = format!(
            "the model's answer is not finite\n  expected: numbers, or minus infinity for a masked class\n  \
             found:    {}",
            list(outputs)
        );
        Self::other(Kind::Model, message).with_hint(
            "its weights are damaged, or its values leave the range of its precision: export it again, or run the \
             file in single precision",
        )
    }

    /// Graph and numbers do not say together what the output means.
    pub(crate) fn output_kind_unclear(path: &Path, why: &str) -> Self {
        let path = path.display();
        let message = format!("`{path}` does not show what its output means: {why}");
        Self::other(Kind::Model, message).with_hint("say it with `ClassifierBuilder::output_kind`")
    }

    /// A number that is read as a probability and is none.
    pub(crate) fn not_probabilities(path: &Path, index: usize, found: f32) -> Self {
        let path = path.display();
        let message = format!(
            "the output of `{path}` is not of probabilities (image {index} of the batch)\n  expected: numbers from \
             0 to 1\n  found:    {found}"
        );
        Self::other(Kind::Model, message)
            .with_hint("say what its output means with `ClassifierBuilder::output_kind`")
    }

    /// The same error with the image or the file that it is about.
    #[must_use]
    pub fn about(self, subject: impl std::fmt::Display) -> Self {
        match self {
            Self::Other {
                kind,
                message,
                hint,
            } => Self::Other {
                kind,
                message: format!("`{subject}`: {message}"),
                hint,
            },
            other => other,
        }
    }

    pub(crate) fn features_length(expected: usize, found: usize) -> Self {
        let message = format!(
            "the features are not this verifier's\n  expected: {expected} numbers\n  found:    {found}"
        );
        Self::other(Kind::Argument, message)
    }

    /// The number of features is not known.
    pub(crate) fn no_features(path: &Path) -> Self {
        let path = path.display();
        let message = format!("`{path}` does not say how many features its images have");
        Self::other(Kind::Model, message)
            .with_hint("take a classifier whose last layer is in the file, or write a card into it")
    }

    /// A value has the shape of no features.
    pub(crate) fn no_feature_shape(path: Option<&Path>, value: &str, dims: &[usize]) -> Self {
        let file = path.map_or_else(
            || "the model".to_owned(),
            |path| format!("`{}`", path.display()),
        );
        let message = format!(
            "the value `{value}` of {file} cannot be features: it is {dims:?}, not [N, D] or [N, D, H, W]"
        );
        Self::other(Kind::Model, message).with_hint("name another value of its graph")
    }

    /// No setting is kept for the model.
    pub(crate) fn not_tuned(path: &Path) -> Self {
        let message = format!("no setting is saved for `{}`", path.display());
        Self::other(Kind::Argument, message).with_hint(TUNE)
    }

    /// A setting was kept for the file before its content changed.
    pub(crate) fn tuned_changed(path: &Path, date: &str) -> Self {
        let path = path.display();
        let message = format!("the model `{path}` has changed since it was tuned on {date}");
        Self::other(Kind::Argument, message).with_hint(TUNE)
    }

    /// The setting of a model was measured with something else than what is here; `what` differs.
    pub(crate) fn tuned_elsewhere(path: &Path, what: &str, kept: &str, here: &str) -> Self {
        let path = path.display();
        let message = format!(
            "the saved setting of `{path}` was measured with another {what}\n  expected: {kept}\n  \
             found:    {here}"
        );
        Self::other(Kind::Argument, message).with_hint(TUNE)
    }

    /// A kept setting, or its converted file, cannot be read.
    pub(crate) fn tuned_damaged(path: &Path, reason: &dyn std::fmt::Display) -> Self {
        let message = format!(
            "the saved setting `{}` cannot be used: {reason}",
            path.display()
        );
        Self::other(Kind::Argument, message).with_hint(TUNE)
    }

    pub(crate) fn no_golden(path: &Path) -> Self {
        let path = path.display();
        let message = format!("`{path}` carries no golden samples to check");
        Self::other(Kind::Model, message)
            .with_hint("write them into the file with `deploy card attach`")
    }
}

/// The images.
impl Error {
    /// Pairs that are all of one identity, or all of two.
    #[cfg(feature = "eval")]
    pub(crate) fn one_answer() -> Self {
        let message = "all pairs have the same answer: nothing can be told apart".to_owned();
        Self::other(Kind::Image, message)
            .with_hint("give pairs of the same identity and of different ones")
    }

    pub(crate) fn no_images() -> Self {
        Self::other(Kind::Image, "there are no images to evaluate".to_owned())
    }

    pub(crate) fn unreadable(path: &Path, reason: &str) -> Self {
        let message = format!("`{}` cannot be read: {reason}", path.display());
        Self::other(Kind::Image, message)
            .with_hint("repair or remove the files; HEIC and AVIF must be converted to JPEG first")
    }
}

/// Calls that end early.
impl Error {
    pub(crate) fn cancelled() -> Self {
        Self::other(Kind::Cancelled, "the call was cancelled".to_owned())
    }

    pub(crate) fn timeout() -> Self {
        Self::other(Kind::Timeout, "the time of the call has passed".to_owned())
    }

    pub(crate) fn busy() -> Self {
        Self::other(Kind::Busy, "every session is in use".to_owned())
            .with_hint("open more sessions, or wait for one")
    }

    pub(crate) fn no_thread(reason: std::io::Error) -> Self {
        Self::other(
            Kind::Runtime,
            format!("the system starts no thread: {reason}"),
        )
    }
}

/// The request of the caller.
impl Error {
    pub(crate) fn bad_threshold(found: f32) -> Self {
        let message = format!(
            "the least probability of an answer cannot be used\n  expected: 0 to 1\n  found:    {found}"
        );
        Self::other(Kind::Argument, message)
    }

    pub(crate) fn precision_name(text: &str) -> Self {
        let message =
            format!("`{text}` is not a precision\n  expected: fp32, tf32, bf16, fp16 or int8");
        Self::other(Kind::Argument, message)
    }

    pub(crate) fn precision_unsupported(precision: &str, provider: &str) -> Self {
        let message = format!("provider `{provider}` does not compute in {precision}");
        let other = match precision {
            "bf16" => "the provider `openvino`",
            _ => "a GPU with the provider `cuda`",
        };
        Self::other(Kind::Argument, message)
            .with_hint(format!("use the precision `fp32`, or {other}"))
    }

    /// The device lacks the precision: `found` are those that it has.
    pub(crate) fn precision_not_on_device(
        precision: &str,
        provider: &str,
        device: &str,
        found: &str,
    ) -> Self {
        let message = format!(
            "provider `{provider}` does not compute in {precision} here\n  expected: a device that does\n  \
             found:    {device}: {found}"
        );
        Self::other(Kind::Argument, message)
            .with_hint("choose one of these precisions, or another provider")
    }

    /// The file's own precision leaves nothing to choose.
    pub(crate) fn precision_chosen(path: &Path, precision: &str, own: &str) -> Self {
        let path = path.display();
        let message = format!("`{path}` cannot be run in {precision}: it is in {own} already");
        Self::other(Kind::Argument, message)
            .with_hint("leave the precision out, or give the file in single precision")
    }

    /// The file is of another precision, and no provider changes that.
    pub(crate) fn precision_differs(path: &Path, expected: &str, found: &str) -> Self {
        let path = path.display();
        let message = format!(
            "`{path}` cannot be run in {expected} as it is\n  expected: a file of {expected}\n  \
             found:    {found}"
        );
        Self::other(Kind::Argument, message).with_hint(format!(
            "convert it with `deploy convert --precision {expected}`"
        ))
    }

    pub(crate) fn not_converted(precision: &str) -> Self {
        let message =
            format!("a file cannot be converted to `{precision}`\n  expected: fp16 or int8");
        Self::other(Kind::Argument, message)
    }

    pub(crate) fn no_calibration() -> Self {
        let message = "`int8` needs training images on which the ranges of values are measured";
        Self::other(Kind::Argument, message.to_owned()).with_hint("give the folder of the images")
    }

    pub(crate) fn class_count(path: &Path, expected: usize, found: usize) -> Self {
        let path = path.display();
        let message = format!(
            "the class names do not fit `{path}`\n  expected: {expected} names\n  found:    {found}"
        );
        Self::other(Kind::Argument, message)
            .with_hint("give one class name per line, in the order of the outputs")
    }

    /// The preprocessing makes another shape than the model takes.
    pub(crate) fn shape_differs(path: &Path, expected: &str, found: &str) -> Self {
        let path = path.display();
        let message = format!(
            "the preprocessing does not fit `{path}`\n  expected: {expected}\n  found:    {found}"
        );
        Self::other(Kind::Argument, message)
            .with_hint("give the steps that this model needs with `ClassifierBuilder::preprocess`, or in its card: `deploy card attach`")
    }

    /// The data has classes that the model does not know.
    pub fn classes_differ(path: &Path, expected: &[String], found: &[String]) -> Self {
        let path = path.display();
        let message = format!(
            "`{path}` knows {} classes but the data has {}\n  expected: {}\n  found:    {}",
            expected.len(),
            found.len(),
            list(expected),
            list(found)
        );
        Self::other(Kind::Argument, message).with_hint(unknown_classes_hint(expected, found))
    }

    /// A class of the data is the name of two of the model's.
    #[cfg(feature = "eval")]
    pub(crate) fn same_class_twice(path: &Path, name: &str) -> Self {
        let message = format!("`{}` has two classes `{name}`", path.display());
        Self::other(Kind::Argument, message)
            .with_hint("give each output a name of its own with `ClassifierBuilder::classes`")
    }

    pub(crate) fn logits_length(expected: usize, found: usize) -> Self {
        let message = format!("one image of this model has {expected} logits, {found} given");
        Self::other(Kind::Argument, message)
    }

    /// Prepared numbers of the wrong length.
    pub(crate) fn input_length(batch: usize, expected: usize, found: usize) -> Self {
        let message = format!("{batch} images of this model are {expected} numbers, {found} given");
        Self::other(Kind::Argument, message)
    }

    /// Prepared images of another shape.
    #[cfg(feature = "ndarray")]
    pub(crate) fn array_shape(expected: &[usize; 3], found: &[usize]) -> Self {
        let [a, b, c] = expected;
        let message = format!(
            "the array is not of prepared images\n  expected: [N, {a}, {b}, {c}]\n  found:    {found:?}"
        );
        Self::other(Kind::Argument, message)
    }

    /// The model, or the engine built from it, does not take so many images at a time.
    pub(crate) fn batch_size(
        path: &Path,
        (smallest, largest): (usize, usize),
        found: usize,
    ) -> Self {
        let path = path.display();
        let expected = match (smallest, largest) {
            (n, m) if n == m => n.to_string(),
            (n, usize::MAX) => format!("{n} or more"),
            (n, m) => format!("{n} to {m}"),
        };
        let message =
            format!("`{path}` does not take {found} images at a time\n  expected: {expected}");
        Self::other(Kind::Argument, message)
    }
}

/// Operator, name and complaint of the node at which ONNX Runtime stopped: "Non-zero status code returned while running
/// Gemm node. Name:'fc' Status Message: GEMM: Dimension mismatch".
fn failed_node(reason: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = reason.split_once("status code returned while running ")?;
    let (op, rest) = rest.split_once(" node. Name:'")?;
    let (node, rest) = rest.split_once('\'')?;
    let (_, detail) = rest.split_once("Status Message: ")?;
    // Checks of ONNX Runtime begin with their source line and condition.
    let detail = detail
        .split_once(" was false. ")
        .map_or(detail, |(_, detail)| detail);
    Some((op, node, detail.trim()))
}

fn unknown_classes_hint(expected: &[String], found: &[String]) -> String {
    let unknown: Vec<String> = found
        .iter()
        .filter(|name| !expected.contains(name))
        .cloned()
        .collect();
    format!(
        "remove {} from the data or use a model that was trained with {}",
        list(&unknown),
        if unknown.len() == 1 { "it" } else { "them" }
    )
}

/// At most eight names or numbers.
fn list<T: ToString>(items: &[T]) -> String {
    let shown: Vec<String> = items.iter().take(8).map(T::to_string).collect();
    let shown = shown.join(", ");
    if items.len() > 8 {
        format!("{shown}, ...")
    } else {
        shown
    }
}

#[cfg(test)]
mod tests;
