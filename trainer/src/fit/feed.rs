//! Where a pass takes its batches from: pictures, or rows of features that are there already.

use data::loader::{Batch, Loader};

use crate::error::Result;
use crate::features::{RowBatch, RowLoader};

/// What a pass goes through.
#[derive(Clone, Copy, Debug)]
pub enum Feed<'a> {
    /// Pictures, made into batches ahead of their use.
    Pictures(&'a Loader),
    /// Features of a frozen network.
    Features(&'a RowLoader),
}

/// What it gives.
pub(crate) enum Given {
    Pictures(Batch),
    Features(RowBatch),
}

impl<'a> Feed<'a> {
    /// Batches in an epoch.
    pub fn num_batches(self) -> usize {
        match self {
            Self::Pictures(loader) => loader.num_batches(),
            Self::Features(loader) => loader.num_batches(),
        }
    }

    /// The batches of an epoch, counted from 1, from `first_batch` on.
    pub(crate) fn epoch(
        self,
        epoch: usize,
        first_batch: usize,
    ) -> Box<dyn Iterator<Item = Result<Given>> + 'a> {
        match self {
            Self::Pictures(loader) => {
                let batches = loader.epoch(epoch as u64, first_batch);
                Box::new(batches.map(|batch| Ok(Given::Pictures(batch?))))
            }
            Self::Features(loader) => {
                let batches = loader.epoch(epoch, first_batch);
                Box::new(batches.map(|batch| Ok(Given::Features(batch))))
            }
        }
    }
}

impl Given {
    /// Class indices, `[N]`.
    pub(crate) fn labels(&self) -> &[u32] {
        match self {
            Self::Pictures(batch) => &batch.labels,
            Self::Features(batch) => &batch.labels,
        }
    }
}
