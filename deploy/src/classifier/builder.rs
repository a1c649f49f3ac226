//! Builder of a classifier: its settings, and opening it. Decides how many sessions there are.

use std::path::{Path, PathBuf};

use machine::Provider;
use onnx::ModelFile;
use pixels::card::OutputKind;
use pixels::{Limits, Preprocess};

use super::{Classifier, check_class_count, usual_batch};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::pool::Pool;
use crate::precision::Precision;
use crate::runtime::{self, LoadOptions, RuntimeLibrary};
use crate::session::{Batch, Session, SessionOptions};
use crate::tuned::{self, Tuned};

/// Most sessions on a CPU: each has its own copy of the weights.
const MAX_SESSIONS: usize = 8;
/// Sessions on a GPU for many images. Each has a stream: one copies while the other computes.
const STREAMS: usize = 2;

/// Settings of a [`Classifier`]; see [`Classifier::builder`].
#[derive(Debug, Clone, Default)]
pub struct ClassifierBuilder {
    path: PathBuf,
    file: Option<ModelFile>,
    ignore_card: bool,
    provider: Provider,
    precision: Precision,
    allow_fallback: bool,
    batches: Vec<usize>,
    threads: Option<usize>,
    sessions: Option<usize>,
    parallel: Option<usize>,
    tuned: bool,
    classes: Option<Vec<String>>,
    preprocess: Option<Preprocess>,
    output: Option<String>,
    output_kind: Option<OutputKind>,
    reject_below: Option<f32>,
    spinning: Option<bool>,
    runtime: Option<RuntimeLibrary>,
    cache: Option<PathBuf>,
    limits: Limits,
    load: LoadOptions,
    is_one_at_a_time: bool,
}

impl ClassifierBuilder {
    /// Builder of a classifier of a file that was read, or of bytes in memory. The file is not read again, and its
    /// bytes are kept until the model is open.
    ///
    /// ```no_run
    /// use classifold::{ClassifierBuilder, onnx::ModelFile};
    ///
    /// let bytes = std::fs::read("model.onnx")?; // or `include_bytes!`, or from an archive
    /// let classifier = ClassifierBuilder::from_file(ModelFile::from_bytes(bytes)?).open()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_file(file: ModelFile) -> Self {
        Self {
            file: Some(file),
            ..Self::default()
        }
    }

    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// The execution provider. A model that cannot run there is an error.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = provider;
        self
    }

    /// Threads inside one run of the model; by default one per core.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Number of sessions, and so of runs at the same time; by default one.
    pub fn sessions(mut self, sessions: usize) -> Self {
        self.sessions = Some(sessions);
        self
    }

    /// Sessions for many images at once, on so many threads. The CPU gets one session of one thread for each
    /// (at most 8 sessions, which then have more threads): two sessions of one thread do more than one session
    /// of two. A GPU gets two sessions, of which one copies while the other computes.
    pub fn parallel(mut self, threads: usize) -> Self {
        self.parallel = Some(threads);
        self
    }

    /// The setting that `deploy tune` saved for this model on this machine: provider, precision, sessions, threads and
    /// batch size, in place of those of this builder; and the converted file, where the precision needs one.
    ///
    /// ```no_run
    /// let classifier = classifold::Classifier::builder("model.onnx").tuned().open()?;
    /// # Ok::<(), classifold::Error>(())
    /// ```
    ///
    /// [`open`](Self::open) refuses a setting of another model, processor, GPU or version.
    pub fn tuned(mut self) -> Self {
        self.tuned = true;
        self
    }

    /// Precision in which the model computes. Where it needs another file ([`Precision::converts`]), the file
    /// that is opened must be the converted one.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Whether nodes that compute may run on another provider; by default that is an error.
    pub fn allow_fallback(mut self, allow: bool) -> Self {
        self.allow_fallback = allow;
        self
    }

    /// Batch sizes that will be run. A GPU is set up for them and warmed up while the model opens, which takes a
    /// while; other sizes are padded or cut.
    pub fn batches(mut self, batches: Vec<usize>) -> Self {
        self.batches = batches;
        self
    }

    /// Does not read the file's card, which may be damaged and is about to be replaced.
    pub fn ignore_card(mut self) -> Self {
        self.ignore_card = true;
        self
    }

    /// The class names in the order of the output, in place of the card's.
    pub fn classes(mut self, classes: Vec<String>) -> Self {
        self.classes = Some(classes);
        self
    }

    /// The preprocessing, in place of the card's.
    pub fn preprocess(mut self, preprocess: Preprocess) -> Self {
        self.preprocess = Some(preprocess);
        self
    }

    /// The output to read, where the model has several.
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.output = Some(name.into());
        self
    }

    /// The meaning of the output, in place of the card's or the inferred one
    /// ([`Classifier::infer_output_kind`]).
    pub fn output_kind(mut self, output_kind: OutputKind) -> Self {
        self.output_kind = Some(output_kind);
        self
    }

    /// The least probability of an answer, in place of the card's: less sure predictions are
    /// [rejected](crate::Prediction::is_rejected). `deploy eval --target-accuracy` chooses one; 0 rejects nothing.
    pub fn reject_below(mut self, probability: f32) -> Self {
        self.reject_below = Some(probability);
        self
    }

    /// Whether threads of the model spin while they wait for work, which they do by default: less latency for more
    /// processor time.
    pub fn spinning(mut self, spinning: bool) -> Self {
        self.spinning = Some(spinning);
        self
    }

    /// For a server of single images on the CPU: one session of one thread for each core, at most 8, and no spinning.
    /// That answers more images per second than one session of all cores, and each a little later.
    ///
    /// ```no_run
    /// let classifier = classifold::Classifier::builder("model.onnx").for_server().open()?;
    /// # Ok::<(), classifold::Error>(())
    /// ```
    pub fn for_server(self) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.parallel(cores).batches(vec![1]).spinning(false)
    }

    /// The ONNX Runtime library to load, from [`runtime::find`], or `runtime::ensure` of the feature `install`.
    pub fn runtime(mut self, library: RuntimeLibrary) -> Self {
        self.runtime = Some(library);
        self
    }

    /// The cache folder, in which ONNX Runtime is looked for and TensorRT's engines are kept.
    pub fn cache(mut self, cache: impl AsRef<Path>) -> Self {
        self.cache = Some(cache.as_ref().to_owned());
        self
    }

    /// Settings of ONNX Runtime, where this classifier is the first of the process to need it.
    ///
    /// ```no_run
    /// use classifold::runtime::{LoadOptions, ThreadPool};
    ///
    /// // Several models on the same two threads.
    /// let mut options = LoadOptions::default();
    /// options.thread_pool = Some(ThreadPool { threads: 2, spinning: false });
    /// let ants = classifold::Classifier::builder("ants.onnx").load_options(options).open()?;
    /// let bees = classifold::Classifier::open("bees.onnx")?;
    /// # Ok::<(), classifold::Error>(())
    /// ```
    pub fn load_options(mut self, options: LoadOptions) -> Self {
        self.load = options;
        self
    }

    /// Limits on files that are decoded.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The saved setting of a file in place of this builder's own, and the file that it runs.
    fn with_tuned(mut self, file: &ModelFile) -> Result<(Self, ModelFile)> {
        let cache = files::cache::dir(self.cache.as_deref())?;
        // An error of the file or of what is saved comes before a runtime is looked for.
        tuned::peek(&cache, file)?;
        self.load_runtime()?;
        let Tuned { setting, file } = tuned::load(&cache, file)?;
        (self.provider, self.precision) = (setting.provider, setting.precision);
        (self.sessions, self.threads) = (Some(setting.sessions), setting.threads);
        (self.batches, self.parallel) = (vec![setting.batch], None);
        Ok((self, file))
    }

    fn load_runtime(&self) -> Result<()> {
        match &self.runtime {
            Some(library) => runtime::load_with(library, &self.load),
            None => runtime::load_default(self.provider, self.cache.as_deref(), &self.load),
        }
    }

    /// Opens the model: the file first, ONNX Runtime after.
    ///
    /// # Errors
    /// Whatever is wrong with the file, the settings or the runtime.
    pub fn open(mut self) -> Result<Classifier> {
        // Read once: card and weights are of the same bytes.
        let mut file = match self.file.take() {
            Some(file) => file,
            None => ModelFile::open(&self.path)?,
        };
        if self.tuned {
            (self, file) = self.with_tuned(&file)?;
        }
        let path = file.path();
        let model = if self.ignore_card {
            Model::from_file_without_card(&file)?
        } else {
            Model::from_file(&file)?
        };
        model.check_input(path)?;
        let classes = model.classes(path, self.classes.take())?;
        let preprocess = model.preprocess(path, self.preprocess.take())?;
        let output = model.output(path, self.output.as_deref(), Some(classes.len()))?;
        let card_kind = model.card.as_ref().map(|card| card.output_kind);
        let output_kind = self.output_kind.or(card_kind);
        let card_threshold = model.card.as_ref().and_then(|card| card.threshold);
        let card_threshold = card_threshold.map(|threshold| threshold as f32);
        let reject_below = self.reject_below.or(card_threshold);
        if let Some(found) = reject_below.filter(|p| !(0.0..=1.0).contains(p)) {
            return Err(Error::bad_threshold(found));
        }
        self.check_precision(path, &model)?;
        let precision = self.precision.in_file(model.precision);
        self.load_runtime()?;
        let usual = match self.batches.first() {
            Some(batch) if self.tuned => *batch,
            _ if self.is_one_at_a_time && self.provider.is_on_cpu() => 1,
            _ => usual_batch(self.provider),
        };
        let preferred_batch = model.fixed_batch().unwrap_or(usual);
        let (options, count) = self.session_options(&output, &preprocess, preferred_batch);
        let sessions = open_sessions(&file, &options, count)?;
        return_free_memory();
        let first = sessions.first();
        let preferred_batch = match first.map(Session::batch) {
            // As run, whatever the file says.
            Some(Batch::Fixed(batch)) => batch,
            _ => preferred_batch,
        };
        let mut notes = first.map_or_else(Vec::new, |session| session.notes().to_vec());
        if model.outputs.len() > 1 && self.output.is_none() && model.card.is_none() {
            notes.push(format!(
                "`{output}` is the output of class scores that is read"
            ));
        }
        let num_outputs = first.map_or(0, Session::num_outputs);
        check_class_count(path, num_outputs, classes.len())?;
        let activation = model.activation(&output);
        let classifier = Classifier {
            path: path.to_owned(),
            model: Some(model),
            precision,
            classes: classes.into(),
            preprocess,
            output_kind: output_kind.unwrap_or_default(),
            reject_below,
            limits: self.limits,
            output,
            num_outputs,
            preferred_batch,
            placement: first.map(|session| session.placement().clone()),
            notes,
            pool: Pool::new(sessions.into_iter().map(boxed).collect()),
        };
        match output_kind {
            Some(_) if self.output_kind.is_some() => Ok(classifier),
            Some(_) => Ok(classifier.with_card_checked()),
            None => classifier.infer_output_kind(activation),
        }
    }

    /// The preprocessing that was given.
    pub(crate) fn own_preprocess(&self) -> Option<Preprocess> {
        self.preprocess.clone()
    }

    /// The same settings for an encoder: it is run as a classifier is, and its features `[D]` are its class scores.
    pub(crate) fn for_encoder(self, file: ModelFile, width: usize, preprocess: Preprocess) -> Self {
        Self {
            file: Some(file),
            ignore_card: true,
            classes: Some((0..width).map(|index| index.to_string()).collect()),
            preprocess: Some(preprocess),
            output: None,
            output_kind: Some(OutputKind::Logits),
            reject_below: None,
            ..self
        }
    }

    /// On a processor, one image in a run: rows of another number may be summed in another order, and features must not
    /// depend on their neighbours.
    pub(crate) fn one_at_a_time(mut self) -> Self {
        self.is_one_at_a_time = true;
        self
    }

    /// Refuses a file of another precision where the provider does not compute in the one asked for by itself.
    fn check_precision(&self, path: &Path, model: &Model) -> Result<()> {
        self.precision
            .check_file(self.provider, model.precision, path)
    }

    /// Options of the sessions, and their number.
    fn session_options(
        &mut self,
        output: &str,
        preprocess: &Preprocess,
        preferred_batch: usize,
    ) -> (SessionOptions, usize) {
        // Many images come in batches of the same size, which a GPU is set up for.
        if self.parallel.is_some() && self.batches.is_empty() {
            self.batches.push(preferred_batch);
        }
        let (sessions, threads) = match self.parallel {
            Some(threads) if self.provider.is_on_cpu() => {
                let sessions = threads.clamp(1, MAX_SESSIONS);
                (sessions, Some((threads / sessions).max(1)))
            }
            Some(_) => (STREAMS, self.threads),
            None => (self.sessions.unwrap_or(1).max(1), self.threads),
        };
        let options = SessionOptions {
            provider: self.provider,
            precision: self.precision,
            threads,
            spinning: self.spinning.unwrap_or(true),
            allow_fallback: self.allow_fallback,
            batches: std::mem::take(&mut self.batches),
            engines: self.cache.as_ref().map(|cache| cache.join("engines")),
            image_shape: Some(preprocess.output_shape()),
            output: Some(output.to_owned()),
            ..SessionOptions::default()
        };
        (options, sessions)
    }
}

fn boxed(session: Session) -> Box<dyn Engine> {
    Box::new(session)
}

/// Opens the sessions. On the CPU provider all open at the same time; elsewhere the first one opens alone, so that the
/// others find the engine that it built.
fn open_sessions(file: &ModelFile, options: &SessionOptions, count: usize) -> Result<Vec<Session>> {
    let model = file.detached()?;
    let open = || -> Result<Session> {
        let mut session = Session::from_detached(&model, options)?;
        if options.provider != Provider::Cpu {
            warm_up(&mut session, &options.batches)?;
        }
        Ok(session)
    };
    let mut all = Vec::with_capacity(count);
    if options.provider != Provider::Cpu {
        all.push(open()?);
    }
    std::thread::scope(|scope| {
        let others: Vec<_> = (all.len() + 1..count).map(|_| scope.spawn(open)).collect();
        if all.len() < count {
            all.push(open()?);
        }
        for other in others {
            match other.join() {
                Ok(session) => all.push(session?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

/// Gives memory that is free back to the system. ONNX Runtime frees copies of the weights while it opens a model, and
/// glibc keeps them: 4 sessions of a 45 MB file held 616 MB, and hold 276 MB with this.
fn return_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "a C function without a wrapper")]
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        #[expect(unsafe_code, reason = "a C function without a wrapper")]
        // SAFETY: glibc's, which may be called at any time from any thread.
        unsafe {
            malloc_trim(0);
        }
    }
}

/// Runs zeros once for every number of images: a GPU chooses its algorithms, and records its launches, in
/// the first run of a shape.
fn warm_up(session: &mut Session, batches: &[usize]) -> Result<()> {
    let len: usize = session.image_shape().iter().product();
    for batch in batches {
        session.run(&vec![0.0; batch * len], *batch)?;
    }
    Ok(())
}
