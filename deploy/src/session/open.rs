//! Opening of a session: provider options, cached engines, check of the placement. Runs nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use fs_err as fs;
use machine::Provider;
use machine::probe::{self, SearchPaths};
use onnx::{Detached, Document, Header, ModelFile};
use ort::session::Session as OrtSession;

use crate::engine_cache::{EngineCache, EngineFolder, EngineKey};
use crate::error::{Error, Result, chain};
use crate::model::arithmetic;
use crate::placement::{Placement, ShapeNodes};
use crate::plugin;
use crate::precision::Precision;
use crate::presets::{self, ProviderRequest, cpu, openvino, tensorrt, tensorrt_rtx};
use crate::runtime;
use crate::session::{SessionOptions, node_assignment};

/// A session of ONNX Runtime, and how it was opened.
pub(super) struct OpenedSession {
    pub(super) session: OrtSession,
    pub(super) placement: Placement,
    /// The smallest and the largest batch that the session takes.
    pub(super) batches: (usize, usize),
    /// Whether it records CUDA graphs.
    pub(super) graph: bool,
    /// Time in which an engine was built.
    pub(super) build: Option<Duration>,
    pub(super) notes: Vec<String>,
}

/// Opens the model with the provider of the options, which must start and get every node that computes.
///
/// `gpu` names GPU, compute capability, driver and TensorRT version: a cached engine depends on them beside the
/// model. `None`: no engine is cached.
pub(super) fn open(
    model: &Detached,
    options: &SessionOptions,
    gpu: Option<&str>,
) -> Result<OpenedSession> {
    if plugin::execution_provider(options.provider).is_none() {
        runtime::require(options.provider)?;
    }
    options.precision.converts(options.provider)?;
    let mut request = ProviderRequest {
        precision: options.precision,
        arena: options.arena,
        graph: options.record && options.provider.needs_cuda() && options.batches.len() == 1,
        ..ProviderRequest::default()
    };
    let mut opened = match options.provider {
        Provider::TensorRt { .. } => open_tensorrt(model, options, request, gpu)?,
        Provider::TensorRtRtx { .. } => {
            let document = Document::from_file(&model.file)?;
            let profile = tensorrt::Profile::for_model(&document, options);
            request.tensorrt.profile = profile.clone();
            let mut opened = open_graph_optional(model, options, &request)?;
            opened.batches = profile.map_or(opened.batches, |profile| profile.batches);
            opened
        }
        Provider::OpenVino { .. } => open_openvino(model, options, request)?,
        _ => open_graph_optional(model, options, &request)?,
    };
    if options.precision == Precision::Tf32 && tensorrt::tf32_is_off() {
        let note = "`NVIDIA_TF32_OVERRIDE=0` keeps TF32 off, whatever the precision";
        opened.notes.push(note.to_owned());
    }
    let unread = |e: ort::Error| Error::run(chain(&e));
    opened.placement = node_assignment::placement(&opened.session).map_err(unread)?;
    if !options.allow_fallback {
        // The record has no types, so shapes are followed in the file's own graph.
        let shapes = || Ok(ShapeNodes::trace(Document::from_file(&model.file)?.graph()));
        opened.placement.prove(options.provider, shapes)?;
    }
    Ok(opened)
}

/// GPU, compute capability, driver and TensorRT version, on which an engine depends; `None` where they are not
/// known.
pub(super) fn describe_gpu(provider: Provider) -> Option<String> {
    let device = usize::try_from(provider.device()?).ok()?;
    let loaded = runtime::loaded().map(|found| found.path.as_path());
    let found = probe::readiness(provider, &SearchPaths::for_runtime(loaded));
    let driver = found.driver?;
    let gpu = driver.devices.get(device)?;
    let is_tensorrt = |name: &str| name.starts_with("libnvinfer.so");
    let tensorrt = found.libraries.iter().find(|l| is_tensorrt(&l.name))?;
    Some(format!(
        "{} sm_{} driver {} TensorRT {}",
        gpu.name,
        gpu.capability,
        driver.version.as_deref()?,
        tensorrt.version.as_deref()?
    ))
}

/// Opens a session of TensorRT from a cached engine, or builds one.
fn open_tensorrt(
    model: &Detached,
    options: &SessionOptions,
    mut request: ProviderRequest,
    gpu: Option<&str>,
) -> Result<OpenedSession> {
    let mut document = Document::from_file(&model.file)?;
    let profile = tensorrt::Profile::for_model(&document, options);
    let batches = profile.as_ref().map(|profile| profile.batches);
    let mut notes = Vec::new();
    if options.precision == Precision::Fp32 && !tensorrt::tf32_is_off() {
        notes.push(
            "TensorRT multiplies fp32 in TF32 where the GPU can; `NVIDIA_TF32_OVERRIDE=0` forbids it"
                .to_owned(),
        );
    }
    request.tensorrt.profile = profile;
    let start = Instant::now();
    let Some(gpu) = gpu else {
        notes.push("the GPU is not known: its engine is not kept for the next time".to_owned());
        let mut opened = open_graph_optional(model, options, &request)?;
        opened.build = Some(start.elapsed());
        opened.notes.splice(0..0, notes);
        opened.batches = batches.unwrap_or(opened.batches);
        return Ok(opened);
    };
    let key = tensorrt::key(
        &mut document,
        options,
        request.tensorrt.profile.as_ref(),
        gpu,
    )?;
    // The document is as large as the model, and building needs memory.
    drop(document);
    let mut opened = with_engine(options, &key, &mut notes, |engines, engine_folder| {
        request.tensorrt.folder = engine_folder.path().map(Path::to_owned);
        match engine_folder {
            EngineFolder::New(folder) => build_with_timings(engines, gpu, folder, || {
                open_graph_optional(model, options, &request)
            }),
            _ => open_graph_optional(model, options, &request),
        }
    })?;
    opened.batches = batches.unwrap_or(opened.batches);
    opened.notes.splice(0..0, notes);
    Ok(opened)
}

/// Opens a session of OpenVINO from a cached compiled model, or compiles it.
fn open_openvino(
    model: &Detached,
    options: &SessionOptions,
    mut request: ProviderRequest,
) -> Result<OpenedSession> {
    let (_, device) = plugin::device(options.provider)?;
    let mut document = Document::from_file(&model.file)?;
    let (own, path) = (arithmetic::precision(&document), model.file.path());
    options.precision.check_file(options.provider, own, path)?;
    let precision = options.precision.in_file(own);
    device.check_precision(options.provider, precision)?;
    let key = openvino::key(&mut document, precision, &device)?;
    drop(document);
    request.openvino.precision = precision;
    request.openvino.threads = options.threads;
    let mut notes = Vec::new();
    let mut opened = with_engine(options, &key, &mut notes, |_, engine_folder| {
        request.openvino.folder = engine_folder.path().map(Path::to_owned);
        open_graph_optional(model, options, &request)
    })?;
    opened.notes.splice(0..0, notes);
    Ok(opened)
}

/// Opens a session with the folder of a cached engine, or of a new one that is cached afterwards, and times that.
fn with_engine(
    options: &SessionOptions,
    key: &EngineKey,
    notes: &mut Vec<String>,
    mut open: impl FnMut(&EngineCache, EngineFolder<'_>) -> Result<OpenedSession>,
) -> Result<OpenedSession> {
    let engines = EngineCache::new(match &options.engines {
        Some(folder) => folder.clone(),
        None => files::cache::dir(None)?.join("engines"),
    });
    let mut elapsed = Duration::ZERO;
    let built = engines.build(key, notes, |engine_folder| {
        let start = Instant::now();
        let opened = open(&engines, engine_folder);
        elapsed = start.elapsed();
        opened
    })?;
    let mut opened = built.value;
    opened.build = built.is_new.then_some(elapsed);
    Ok(opened)
}

/// Builds in `folder` with TensorRT's timing cache of earlier builds, and keeps the new one.
pub(super) fn build_with_timings<T>(
    engines: &EngineCache,
    gpu: &str,
    folder: &Path,
    build: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let key = tensorrt::timing_key(gpu);
    // Without earlier measurements the build takes longer; the engine is the same.
    let _ = engines.copy(&key, folder);
    let built = build()?;
    if let Some(file) = tensorrt::timing_file(folder) {
        let _ = engines.replace(&key, &file);
        let _ = fs::remove_file(file);
    }
    Ok(built)
}

/// Opens a session as requested, or without a CUDA graph where ONNX Runtime refuses to record one.
fn open_graph_optional(
    model: &Detached,
    options: &SessionOptions,
    request: &ProviderRequest,
) -> Result<OpenedSession> {
    let mut notes = Vec::new();
    let (session, graph) = match create_session(model, options, request) {
        Ok(session) => (session, request.graph),
        Err(error) if request.graph => {
            let plain = ProviderRequest {
                graph: false,
                ..request.clone()
            };
            let session = create_session(model, options, &plain)?;
            notes.push(format!("launches are not recorded (CUDA graph): {error}"));
            (session, false)
        }
        Err(error) => return Err(error),
    };
    Ok(OpenedSession {
        session,
        placement: Placement::default(),
        batches: (1, usize::MAX),
        graph,
        build: None,
        notes,
    })
}

/// Creates the session of ONNX Runtime; every provider asked for must start.
fn create_session(
    model: &Detached,
    options: &SessionOptions,
    request: &ProviderRequest,
) -> Result<OrtSession> {
    let refused = |e: &dyn std::error::Error| match options.provider {
        Provider::Cpu => Error::model_load(model.file.path(), &chain(e)),
        provider => Error::provider_failed(&provider.to_string(), &plugin::reason(&chain(e))),
    };
    let environment = runtime::environment()?;
    // An adopted environment may name providers for the sessions of its owner.
    let builder = OrtSession::builder(environment)
        .map_err(|e| refused(&e))?
        .with_no_environment_execution_providers()
        .map_err(|e| refused(&e))?;
    let builder = cpu::configure(builder, options).map_err(|e| refused(&e))?;
    let (key, on) = node_assignment::RECORD_ASSIGNMENT;
    let builder = builder
        .with_config_entry(key, on)
        .map_err(|e| refused(&e))?;
    let builder = match options.provider {
        Provider::OpenVino { device } => {
            let config = openvino::options(device, &request.openvino);
            let (device, _) = plugin::device(options.provider)?;
            builder
                .with_devices([device], Some(&config))
                .map_err(ort::Error::from)
        }
        Provider::TensorRtRtx { .. } => {
            let config = tensorrt_rtx::options(request.tensorrt.profile.as_ref());
            let (device, _) = plugin::device(options.provider)?;
            builder
                .with_devices([device], Some(&config))
                .map_err(ort::Error::from)
        }
        Provider::Cpu => cpu::select(builder, environment),
        Provider::Cuda { .. } | Provider::TensorRt { .. } => Ok(builder),
    };
    let builder = builder.map_err(|e| refused(&e))?;
    let mut builder = builder
        .with_execution_providers(presets::execution_providers(options.provider, request)?)
        .map_err(|e| refused(&e))?;
    for (name, bytes) in &model.buffers {
        builder = builder
            .with_external_initializer_file_in_memory(name, bytes.clone())
            .map_err(|e| refused(&e))?;
    }
    let not_loaded = |e: ort::Error| match e.code() {
        ort::ErrorCode::ExecutionProviderFailure => refused(&e),
        _ => load_error(&model.file, &chain(&e)),
    };
    builder.commit_from_memory(&model.graph).map_err(not_loaded)
}

/// The error of a model that does not open: too new for the runtime, or as ONNX Runtime says.
fn load_error(file: &ModelFile, reason: &str) -> Error {
    let path = file.path();
    match version_mismatch(file, reason) {
        Some((expected, found)) => {
            let version = runtime::loaded().map_or("", |library| library.version.as_str());
            Error::model_newer(path, version, &expected, &found)
        }
        None => Error::model_load(path, reason),
    }
}

/// The version that the runtime supports and the one that the file needs, where ONNX Runtime's reason is that:
/// the words are those of `graph/model.cc` and `graph/schema_registry.cc`.
fn version_mismatch(file: &ModelFile, reason: &str) -> Option<(String, String)> {
    let header = Header::from_file(file).ok()?;
    if let Some(known) = number_after(reason, "max supported IR version: ") {
        let (known, found) = (format!("{known} or older"), header.ir_version);
        return Some((format!("IR version {known}"), format!("IR version {found}")));
    }
    let known = number_after(reason, "is till opset ")?;
    let found = header.opset()?;
    Some((format!("opset {known} or older"), format!("opset {found}")))
}

/// The number that follows a mark.
fn number_after(text: &str, mark: &str) -> Option<u64> {
    let rest = &text[text.find(mark)? + mark.len()..];
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}
