//! Engine that computes features: sessions of the frozen part in ONNX Runtime. It knows no image file.

use deploy::{Provider, Session, SessionOptions};
use models::Backbone;
use onnx::ModelFile;
use rayon::prelude::*;

use crate::backbone::session_options;
use crate::error::Result;

/// Memory of a session, in sizes of its file: the weights, packed once more, and working memory.
const SESSION_SIZES: u64 = 3;
/// Images that a GPU computes at a time.
pub(super) const GPU_BATCH: usize = 32;

/// Engine that computes features.
pub(super) enum Engine {
    /// Sessions of the cut graph, one per worker. Each computes on one thread, an image at a time: no result
    /// depends on the number of threads or on its neighbours, and that is as fast on two cores as batches on all
    /// of them.
    PerWorker(Vec<Session>),
    /// One session on a GPU, which takes batches.
    Batched(Box<Session>),
}

impl Engine {
    /// The engine, as part of a [`CacheKey`](super::CacheKey).
    pub(super) fn name(provider: Provider) -> String {
        let version = deploy::runtime::loaded().map(|found| found.version.as_str());
        format!("onnxruntime {} {provider}", version.unwrap_or("unknown"))
    }

    /// Opens one session on a GPU. On the CPU it opens one per thread, but no more than `memory_bytes` hold, and at
    /// least one.
    pub(super) fn open(
        backbone: &Backbone,
        provider: Provider,
        threads: usize,
        memory_bytes: u64,
    ) -> Result<Self> {
        let document = backbone.file.features(backbone.takes_any_batch)?;
        let file = ModelFile::from_bytes(document.to_bytes())?;
        if provider != Provider::Cpu {
            let options = SessionOptions {
                provider,
                batches: vec![GPU_BATCH],
                ..session_options(backbone.image_shape, threads)
            };
            return Ok(Self::Batched(Box::new(Session::from_file(
                &file, &options,
            )?)));
        }
        let bytes = file.bytes().len().max(1) as u64;
        let affordable = usize::try_from(memory_bytes / (SESSION_SIZES * bytes)).unwrap_or(threads);
        let count = threads.min(affordable).max(1);
        // Where memory allows fewer sessions than threads, each session gets several threads.
        let options = session_options(backbone.image_shape, threads / count);
        let open = |_| Ok(Session::from_file(&file, &options)?);
        let sessions: Result<Vec<Session>> = (0..count).into_par_iter().map(open).collect();
        Ok(Self::PerWorker(sessions?))
    }
}
