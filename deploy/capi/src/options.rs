//! Options of a classifier, set one by one, so that new ones change no program that was compiled before.

use std::ffi::c_char;
use std::path::PathBuf;
use std::time::Duration;

use deploy::onnx::ModelFile;
use deploy::runtime::{self, LoadOptions, Search};
use deploy::{ClassifierBuilder, Precision, Provider, Result};

use crate::arguments::{path, reference_mut, text};
use crate::status::{Status, guard};

/// How a model is opened: provider, threads, thresholds. One may be used for several models.
#[derive(Debug, Clone, Default)]
pub struct Options {
    provider: Provider,
    precision: Precision,
    threads: Option<usize>,
    sessions: Option<usize>,
    for_server: bool,
    tuned: bool,
    reject_below: Option<f32>,
    runtime: Option<PathBuf>,
    allow_telemetry: bool,
    pub(crate) timeout: Option<Duration>,
}

impl Options {
    /// The builder of a classifier of `file`.
    pub(crate) fn builder(&self, file: ModelFile) -> Result<ClassifierBuilder> {
        let mut load = LoadOptions::default();
        load.allow_telemetry = self.allow_telemetry;
        let mut builder = ClassifierBuilder::from_file(file)
            .provider(self.provider)
            .precision(self.precision)
            .load_options(load);
        if self.for_server {
            builder = builder.for_server();
        }
        if self.tuned {
            builder = builder.tuned();
        }
        if let Some(threads) = self.threads {
            builder = builder.threads(threads);
        }
        if let Some(sessions) = self.sessions {
            builder = builder.sessions(sessions);
        }
        if let Some(probability) = self.reject_below {
            builder = builder.reject_below(probability);
        }
        if let Some(library) = &self.runtime {
            builder = builder.runtime(runtime::find(&Search {
                provider: self.provider,
                ..Search::from_env(Some(library.clone()), None)
            })?);
        }
        Ok(builder)
    }
}

/// Options with their defaults: the CPU, one session with a thread for each core. Give them back with
/// `classifold_options_free`.
#[unsafe(no_mangle)]
pub extern "C" fn classifold_options_new() -> *mut Options {
    Box::into_raw(Box::default())
}

/// Gives options back; NULL is allowed. Classifiers that were opened with them stay as they are.
///
/// # Safety
/// `options` is of `classifold_options_new` and is used no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_free(options: *mut Options) {
    if !options.is_null() {
        // SAFETY: made by `classifold_options_new`, and given back once.
        drop(unsafe { Box::from_raw(options) });
    }
}

/// Changes options.
///
/// # Safety
/// `options` is NULL, or of `classifold_options_new` and used by no other thread.
unsafe fn set(options: *mut Options, change: impl FnOnce(&mut Options) -> Result<()>) -> Status {
    guard(|| {
        // SAFETY: as the caller promises.
        change(unsafe { reference_mut(options, "options") }?)
    })
}

/// Where the model runs: `cpu`, `cuda`, `cuda:1`, `tensorrt`, `tensorrt-rtx`, `openvino`, `openvino:gpu`.
///
/// # Safety
/// `options` is of `classifold_options_new`, `provider` a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_set_provider(
    options: *mut Options,
    provider: *const c_char,
) -> Status {
    let change = |options: &mut Options| {
        // SAFETY: as the caller promises.
        options.provider = unsafe { text(provider, "provider") }?.parse()?;
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { set(options, change) }
}

/// What the model computes in: `fp32` (the default), `fp16`, `bf16`, `tf32`, `int8`.
///
/// # Safety
/// `options` is of `classifold_options_new`, `precision` a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_set_precision(
    options: *mut Options,
    precision: *const c_char,
) -> Status {
    let change = |options: &mut Options| {
        // SAFETY: as the caller promises.
        options.precision = unsafe { text(precision, "precision") }?.parse()?;
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { set(options, change) }
}

/// Threads inside one run of the model; 0 is one for each core.
///
/// # Safety
/// `options` is of `classifold_options_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_set_threads(
    options: *mut Options,
    threads: usize,
) -> Status {
    let change = |options: &mut Options| {
        options.threads = (threads > 0).then_some(threads);
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { set(options, change) }
}

/// Sessions of the model, and so calls that run at the same time; 0 is one. Each has its own copy of the weights.
///
/// # Safety
/// `options` is of `classifold_options_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_set_sessions(
    options: *mut Options,
    sessions: usize,
) -> Status {
    let change = |options: &mut Options| {
        options.sessions = (sessions > 0).then_some(sessions);
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { set(options, change) }
}

/// For a server of single images on the CPU: a session of one thread for each core, at most 8, which do not spin.
///
/// # Safety
/// `options` is of `classifold_options_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_set_for_server(
    options: *mut Options,
    for_server: bool,
) -> Status {
    let change = |options: &mut Options| {
        options.for_server = for_server;
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { set(options, change) }
}

/// Whether the setting that `deploy tune` saved for this model on this machine is used.
///
/// # Safety
/// `options` is of `classifold_options_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_set_tuned(
    options: *mut Options,
    tuned: bool,
) -> Status {
    let change = |options: &mut Options| {
        options.tuned = tuned;
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { set(options, change) }
}

/// The least probability of an answer, 0 to 1, in place of the card's: less sure predictions are rejected.
///
/// # Safety
/// `options` is of `classifold_options_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_set_reject_below(
    options: *mut Options,
    probability: f32,
) -> Status {
    let change = |options: &mut Options| {
        options.reject_below = Some(probability);
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { set(options, change) }
}

/// The longest time of a call that classifies one image, in milliseconds; 0 is no limit. Decoding is not interrupted.
///
/// # Safety
/// `options` is of `classifold_options_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_set_timeout(
    options: *mut Options,
    milliseconds: u32,
) -> Status {
    let change = |options: &mut Options| {
        options.timeout = (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()));
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { set(options, change) }
}

/// Path of the ONNX Runtime library, in place of the usual places (README.md lists them). A process has one: the first
/// classifier decides.
///
/// # Safety
/// `options` is of `classifold_options_new`, `library` a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_set_runtime(
    options: *mut Options,
    library: *const c_char,
) -> Status {
    let change = |options: &mut Options| {
        // SAFETY: as the caller promises.
        options.runtime = Some(unsafe { path(library, "library") }?.to_owned());
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { set(options, change) }
}

/// Whether an ONNX Runtime that sends telemetry is loaded, although the environment does not forbid it to.
///
/// # Safety
/// `options` is of `classifold_options_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_options_set_allow_telemetry(
    options: *mut Options,
    allow: bool,
) -> Status {
    let change = |options: &mut Options| {
        options.allow_telemetry = allow;
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { set(options, change) }
}
