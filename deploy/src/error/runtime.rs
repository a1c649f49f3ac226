//! Errors of ONNX Runtime and its providers.

use std::path::Path;

use machine::runtime::{TELEMETRY_VARIABLE as TELEMETRY, VERSION};

use super::{Error, Kind};

/// The runtime and its providers.
impl Error {
    pub(crate) fn runtime_load(path: &Path, reason: String) -> Self {
        let path = path.display();
        let message = format!("the ONNX Runtime library `{path}` does not load: {reason}");
        Self::other(Kind::Runtime, message)
            .with_hint("run `deploy runtime install`, and name no other library")
    }

    pub(crate) fn runtime_differs(loaded: &Path, requested: &Path) -> Self {
        let (loaded, requested) = (loaded.display(), requested.display());
        Self::other(
            Kind::Runtime,
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
        Self::other(Kind::Runtime, message)
            .with_hint("run `deploy runtime install cuda`, or use the provider `cpu`")
    }

    pub(crate) fn provider_failed(provider: &str, reason: &str) -> Self {
        let message = format!("provider `{provider}` cannot start: {reason}");
        Self::other(Kind::Runtime, message)
            .with_hint("run `deploy doctor`, or use the provider `cpu`")
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
        Self::other(Kind::Runtime, message).with_hint(fix)
    }

    /// The library is one that sends telemetry, and nothing forbids it to.
    pub(crate) fn telemetry(path: &Path, version: &str) -> Self {
        let path = path.display();
        let message = format!(
            "ONNX Runtime {version} sends telemetry, and is not loaded for that\n  expected: `{TELEMETRY}=1` in the \
             environment\n  found:    `{path}`"
        );
        Self::other(Kind::Runtime, message).with_hint(
            "set the variable before the process starts, call `runtime::disable_telemetry` first in `main`, or use \
             an older ONNX Runtime; `LoadOptions::allow_telemetry` accepts it",
        )
    }

    /// An environment is to be adopted, and a library was loaded before.
    pub(crate) fn already_loaded(loaded: &Path) -> Self {
        let loaded = loaded.display();
        let message =
            format!("this process uses `{loaded}` already and cannot adopt an environment");
        Self::other(Kind::Runtime, message)
            .with_hint("adopt it before the first model is opened, or use `runtime::environment`")
    }

    pub(crate) fn nothing_loaded() -> Self {
        Self::other(
            Kind::Runtime,
            "no ONNX Runtime was loaded or adopted yet".to_owned(),
        )
        .with_hint("open a model first, or call `runtime::load` with what `runtime::find` found")
    }

    /// Other code of this process created ONNX Runtime's environment, or had one that it dropped.
    pub(crate) fn environment_taken() -> Self {
        let message = "ONNX Runtime is in use in this process already: other code created its environment through the \
                       crate `ort`, and a process has one";
        Self::other(Kind::Runtime, message.to_owned()).with_hint(
            "keep that environment alive and give it to `runtime::adopt` before the first model is opened; or open \
             a model first, and let the other code use `runtime::environment`",
        )
    }

    /// Nodes that compute run elsewhere; a line for each other provider, with its nodes.
    pub(crate) fn nodes_elsewhere(provider: &str, nodes: &[String]) -> Self {
        let nodes = nodes.join("\n             ");
        Self::other(
            Kind::Runtime,
            format!("not all of the model runs on `{provider}`\n  elsewhere: {nodes}"),
        )
        .with_hint(
            "to accept that, use `ClassifierBuilder::allow_fallback`; the log of ONNX Runtime says why it did so",
        )
    }

    pub(crate) fn placement_unknown(provider: &str) -> Self {
        let message =
            format!("this ONNX Runtime does not say whether the model runs on `{provider}`");
        Self::other(Kind::Runtime, message).with_hint(format!(
            "use ONNX Runtime {VERSION}, or accept any placement with `ClassifierBuilder::allow_fallback`"
        ))
    }
}
