//! Errors of this crate: kind, message, hint. Knows no types of other modules.

use std::path::Path;

pub(crate) use machine::error::chain;
use machine::runtime::VERSION;
use pixels::card::VERIFY;

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
        kind: ErrorKind,
        /// The problem, with what was expected and found.
        message: String,
        /// How to fix it.
        hint: Option<String>,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Subject of an error, for programs that must tell errors apart.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The ONNX Runtime library or a provider of it.
    Runtime,
    /// The model file.
    Model,
    /// The images or their folder.
    Data,
    /// The request of the caller.
    Usage,
}

impl Error {
    /// The subject of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Machine(machine::Error::ProviderName { .. }) => ErrorKind::Usage,
            Self::Machine(_) => ErrorKind::Runtime,
            Self::Onnx(_) => ErrorKind::Model,
            Self::Pixels(_) | Self::Files(_) => ErrorKind::Data,
            #[cfg(feature = "eval")]
            Self::Data(_) => ErrorKind::Data,
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

    fn other(kind: ErrorKind, message: String) -> Self {
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

/// The runtime and its providers.
impl Error {
    pub(crate) fn runtime_load(path: &Path, reason: String) -> Self {
        let path = path.display();
        let message = format!("the ONNX Runtime library `{path}` does not load: {reason}");
        Self::other(ErrorKind::Runtime, message).with_hint(
            "run `deploy runtime install` and leave out `--runtime` and `ORT_DYLIB_PATH`",
        )
    }

    pub(crate) fn runtime_differs(loaded: &Path, requested: &Path) -> Self {
        let (loaded, requested) = (loaded.display(), requested.display());
        Self::other(
            ErrorKind::Runtime,
            format!("this process uses `{loaded}` already and cannot load `{requested}` as well"),
        )
    }

    /// The library was built without this provider; `expected` is ONNX Runtime's name of it.
    pub(crate) fn provider_missing(
        provider: &str,
        library: &Path,
        expected: &str,
        found: &str,
    ) -> Self {
        let library = library.display();
        let message = format!(
            "provider `{provider}` cannot start: `{library}` was built without it\n  \
             expected: {expected}\n  found:    {found}"
        );
        Self::other(ErrorKind::Runtime, message)
            .with_hint("run `deploy runtime install cuda`, or use `--provider cpu`")
    }

    pub(crate) fn provider_failed(provider: &str, reason: &str) -> Self {
        let message = format!("provider `{provider}` cannot start: {reason}");
        Self::other(ErrorKind::Runtime, message)
            .with_hint("run `deploy doctor`, or use `--provider cpu`")
    }

    /// A plugin provider finds no device of the kind that was asked for.
    pub(crate) fn no_device(provider: &str, kind: &str, found: &[String], fix: &str) -> Self {
        let found = match found {
            [] => "none".to_owned(),
            all => all.join(", "),
        };
        let message = format!(
            "provider `{provider}` cannot start: it finds no such device\n  expected: {kind}\n  found:    {found}"
        );
        Self::other(ErrorKind::Runtime, message).with_hint(fix)
    }

    /// Nodes that compute run elsewhere; a line for each other provider, with its nodes.
    pub(crate) fn nodes_elsewhere(provider: &str, nodes: &[String]) -> Self {
        let nodes = nodes.join("\n             ");
        Self::other(
            ErrorKind::Runtime,
            format!("not all of the model runs on `{provider}`\n  elsewhere: {nodes}"),
        )
        .with_hint(
            "to accept that, add `--allow-fallback`; `--verbose` shows why ONNX Runtime did so",
        )
    }

    pub(crate) fn placement_unknown(provider: &str) -> Self {
        let message =
            format!("this ONNX Runtime does not say whether the model runs on `{provider}`");
        Self::other(ErrorKind::Runtime, message).with_hint(format!(
            "use ONNX Runtime {VERSION}, or accept any placement with `--allow-fallback`"
        ))
    }
}

/// The model file.
impl Error {
    pub(crate) fn model_load(path: &Path, reason: &str) -> Self {
        let path = path.display();
        let message = format!("ONNX Runtime does not open `{path}`: {reason}");
        Self::other(ErrorKind::Model, message)
    }

    pub(crate) fn model_newer(path: &Path, version: &str, expected: &str, found: &str) -> Self {
        let path = path.display();
        let message = format!(
            "`{path}` is newer than ONNX Runtime {version}\n  expected: {expected}\n  found:    {found}"
        );
        Self::other(ErrorKind::Model, message).with_hint(
            "export it with an older opset, or give a newer library with `--runtime FILE`",
        )
    }

    /// The model does something else than classify images.
    pub(crate) fn not_a_classifier(path: &Path, expected: &str, found: &str) -> Self {
        let path = path.display();
        let message = format!(
            "`{path}` is not an image classifier\n  expected: {expected}\n  found:    {found}"
        );
        Self::other(ErrorKind::Model, message).with_hint(
            "only classifiers with one image input and an output of class scores are run",
        )
    }

    /// The model does another task than it is asked for.
    pub(crate) fn other_task(path: &Path, found: &str) -> Self {
        let path = path.display();
        let (is, hint) = match found {
            VERIFY => (
                "is a verifier, which compares two images",
                "`deploy predict --pair A B`, `deploy eval`, `info` and `check` take it; in programs it is a `Verifier`",
            ),
            _ => (
                "is a classifier, not a verifier of two images",
                "train a verifier with `trainer fit --task pairs`, or classify single images",
            ),
        };
        Self::other(ErrorKind::Model, format!("`{path}` {is}")).with_hint(hint)
    }

    /// More than one output may hold the class scores.
    pub(crate) fn several_outputs(path: &Path, found: &str, example: &str) -> Self {
        let path = path.display();
        let message = format!(
            "`{path}` has several outputs\n  expected: one output [N, K], or its name\n  found:    {found}"
        );
        Self::other(ErrorKind::Usage, message).with_hint(format!(
            "choose one with `--output NAME`, such as `--output {example}`"
        ))
    }

    pub(crate) fn no_output(path: &Path, name: &str, found: &str) -> Self {
        let path = path.display();
        let message =
            format!("`{path}` has no such output\n  expected: `{name}`\n  found:    {found}");
        Self::other(ErrorKind::Usage, message).with_hint("choose one with `--output NAME`")
    }

    /// The file carries no card, and `what` it would say is not known otherwise.
    pub fn no_card(path: &Path, what: &str) -> Self {
        let path = path.display();
        let message = format!("`{path}` does not say {what}: it carries no model card");
        Self::other(ErrorKind::Model, message).with_hint(
            "write it into the file with `deploy card attach`; commands that take `--classes FILE` and \
             `--preprocess TEXT` run without it",
        )
    }

    /// The model stopped while it ran.
    pub fn run(reason: impl std::fmt::Display) -> Self {
        let reason = reason.to_string();
        let error = |message| Self::other(ErrorKind::Model, message);
        let Some((op, node, detail)) = failed_node(&reason) else {
            return error(format!("the model stopped: {reason}"));
        };
        let node = match node {
            "" => format!("a {op} node"),
            name => format!("the {op} node `{name}`"),
        };
        error(format!("the model stopped at {node}: {detail}")).with_hint(
            "a graph that was exported for another number of images, or another size, stops like this: try \
             `--batch 1`, or export it again with an open batch",
        )
    }

    /// Outputs that are no answer.
    pub(crate) fn not_finite(outputs: &[f32]) -> Self {
        let message = format!(
            "the model's answer is not finite\n  expected: numbers, or minus infinity for a masked class\n  \
             found:    {}",
            list(outputs)
        );
        Self::other(ErrorKind::Model, message).with_hint(
            "its weights are damaged, or its values leave the range of its precision: export it again, or run the \
             file in single precision",
        )
    }

    /// Graph and numbers do not say together what the output means.
    pub(crate) fn output_kind_unclear(path: &Path, why: &str) -> Self {
        let path = path.display();
        let message = format!("`{path}` does not show what its output means: {why}");
        Self::other(ErrorKind::Model, message).with_hint("say it with `--output-kind`")
    }

    /// A number that is read as a probability and is none.
    pub(crate) fn not_probabilities(path: &Path, index: usize, found: f32) -> Self {
        let path = path.display();
        let message = format!(
            "the output of `{path}` is not of probabilities (image {index} of the batch)\n  expected: numbers from \
             0 to 1\n  found:    {found}"
        );
        Self::other(ErrorKind::Model, message)
            .with_hint("say what its output means with `--output-kind`")
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
        Self::other(ErrorKind::Usage, message)
    }

    /// No setting is kept for the model.
    pub(crate) fn not_tuned(path: &Path) -> Self {
        let message = format!("no setting is saved for `{}`", path.display());
        Self::other(ErrorKind::Usage, message).with_hint(TUNE)
    }

    /// A setting was kept for the file before its content changed.
    pub(crate) fn tuned_changed(path: &Path, date: &str) -> Self {
        let path = path.display();
        let message = format!("the model `{path}` has changed since it was tuned on {date}");
        Self::other(ErrorKind::Usage, message).with_hint(TUNE)
    }

    /// The setting of a model was measured with something else than what is here; `what` differs.
    pub(crate) fn tuned_elsewhere(path: &Path, what: &str, kept: &str, here: &str) -> Self {
        let path = path.display();
        let message = format!(
            "the saved setting of `{path}` was measured with another {what}\n  expected: {kept}\n  \
             found:    {here}"
        );
        Self::other(ErrorKind::Usage, message).with_hint(TUNE)
    }

    /// A kept setting, or its converted file, cannot be read.
    pub(crate) fn tuned_damaged(path: &Path, reason: &dyn std::fmt::Display) -> Self {
        let message = format!(
            "the saved setting `{}` cannot be used: {reason}",
            path.display()
        );
        Self::other(ErrorKind::Usage, message).with_hint(TUNE)
    }

    pub(crate) fn no_golden(path: &Path) -> Self {
        let path = path.display();
        let message = format!("`{path}` carries no golden samples to check");
        Self::other(ErrorKind::Model, message)
            .with_hint("write them into the file with `deploy card attach`")
    }
}

/// The images.
impl Error {
    /// Pairs that are all of one identity, or all of two.
    #[cfg(feature = "eval")]
    pub(crate) fn one_answer() -> Self {
        let message = "all pairs have the same answer: nothing can be told apart".to_owned();
        Self::other(ErrorKind::Data, message)
            .with_hint("give pairs of the same identity and of different ones")
    }

    pub(crate) fn no_images() -> Self {
        Self::other(
            ErrorKind::Data,
            "there are no images to evaluate".to_owned(),
        )
    }

    pub(crate) fn unreadable(path: &Path, reason: &str) -> Self {
        let message = format!("`{}` cannot be read: {reason}", path.display());
        Self::other(ErrorKind::Data, message)
            .with_hint("repair or remove the files; HEIC and AVIF must be converted to JPEG first")
    }
}

/// The request of the caller.
impl Error {
    pub(crate) fn precision_name(text: &str) -> Self {
        let message =
            format!("`{text}` is not a precision\n  expected: fp32, tf32, bf16, fp16 or int8");
        Self::other(ErrorKind::Usage, message)
    }

    pub(crate) fn precision_unsupported(precision: &str, provider: &str) -> Self {
        let message = format!("provider `{provider}` does not compute in {precision}");
        let other = match precision {
            "bf16" => "`--provider openvino`",
            _ => "a GPU with `--provider cuda`",
        };
        Self::other(ErrorKind::Usage, message)
            .with_hint(format!("use `--precision fp32`, or {other}"))
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
        Self::other(ErrorKind::Usage, message)
            .with_hint("choose one of these with `--precision`, or another provider")
    }

    /// The file's own precision leaves nothing to choose.
    pub(crate) fn precision_chosen(path: &Path, precision: &str, own: &str) -> Self {
        let path = path.display();
        let message = format!("`{path}` cannot be run in {precision}: it is in {own} already");
        Self::other(ErrorKind::Usage, message)
            .with_hint("leave `--precision` out, or give the file in single precision")
    }

    /// The file is of another precision, and no provider changes that.
    pub(crate) fn precision_differs(path: &Path, expected: &str, found: &str) -> Self {
        let path = path.display();
        let message = format!(
            "`{path}` cannot be run in {expected} as it is\n  expected: a file of {expected}\n  \
             found:    {found}"
        );
        Self::other(ErrorKind::Usage, message).with_hint(format!(
            "convert it with `deploy convert --precision {expected}`"
        ))
    }

    pub(crate) fn not_converted(precision: &str) -> Self {
        let message =
            format!("a file cannot be converted to `{precision}`\n  expected: fp16 or int8");
        Self::other(ErrorKind::Usage, message)
    }

    pub(crate) fn no_calibration() -> Self {
        let message = "`int8` needs training images on which the ranges of values are measured";
        Self::other(ErrorKind::Usage, message.to_owned())
            .with_hint("give the folder of the images with `--data DIR`")
    }

    pub(crate) fn class_count(path: &Path, expected: usize, found: usize) -> Self {
        let path = path.display();
        let message = format!(
            "the class names do not fit `{path}`\n  expected: {expected} names\n  found:    {found}"
        );
        Self::other(ErrorKind::Usage, message)
            .with_hint("give one class name per line, in the order of the outputs")
    }

    /// The preprocessing makes another shape than the model takes.
    pub(crate) fn shape_differs(path: &Path, expected: &str, found: &str) -> Self {
        let path = path.display();
        let message = format!(
            "the preprocessing does not fit `{path}`\n  expected: {expected}\n  found:    {found}"
        );
        Self::other(ErrorKind::Usage, message)
            .with_hint("give the steps that this model needs with `--preprocess`, or in its card: `deploy card attach`")
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
        Self::other(ErrorKind::Usage, message).with_hint(unknown_classes_hint(expected, found))
    }

    /// A class of the data is the name of two of the model's.
    #[cfg(feature = "eval")]
    pub(crate) fn same_class_twice(path: &Path, name: &str) -> Self {
        let message = format!("`{}` has two classes `{name}`", path.display());
        Self::other(ErrorKind::Usage, message)
            .with_hint("give each output a name of its own with `--classes FILE`")
    }

    pub(crate) fn logits_length(expected: usize, found: usize) -> Self {
        let message = format!("one image of this model has {expected} logits, {found} given");
        Self::other(ErrorKind::Usage, message)
    }

    /// Prepared numbers of the wrong length.
    pub(crate) fn input_length(batch: usize, expected: usize, found: usize) -> Self {
        let message = format!("{batch} images of this model are {expected} numbers, {found} given");
        Self::other(ErrorKind::Usage, message)
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
        Self::other(ErrorKind::Usage, message)
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
