//! Inference engine: prepared images to class scores, as a trait. Knows no ONNX Runtime.

use std::time::Duration;

use crate::cancel::CancelToken;
use crate::error::{Error, Result};

/// An inference engine: prepared images to class scores.
pub trait Engine: Send {
    /// Runs `batch` prepared images, one after the other in `images`; returns `[batch, K]`.
    ///
    /// `&mut self`, since sessions of ONNX Runtime keep buffers of a run; [`crate::pool::Pool`] shares several
    /// engines between threads.
    fn run(&mut self, images: &[f32], batch: usize) -> Result<Vec<f32>>;

    /// As [`Engine::run`], until `token` is cancelled. An engine that cannot stop looks at it before and after.
    ///
    /// # Errors
    /// As [`Engine::run`]; [`Kind::Cancelled`](crate::Kind::Cancelled).
    fn run_cancellable(
        &mut self,
        images: &[f32],
        batch: usize,
        token: &CancelToken,
    ) -> Result<Vec<f32>> {
        let check = || match token.is_cancelled() {
            true => Err(Error::cancelled()),
            false => Ok(()),
        };
        check()?;
        let outputs = self.run(images, batch)?;
        check()?;
        Ok(outputs)
    }

    /// Numbers per image that [`Engine::run`] returns: `K`.
    fn num_outputs(&self) -> usize;
}

/// An engine without a model, for tests: score `k`, counted from 1, is `k` times the mean of the image.
#[derive(Debug, Clone)]
pub struct FakeEngine {
    num_outputs: usize,
    delay: Duration,
}

impl FakeEngine {
    /// An engine with `num_outputs` scores that takes `delay` per batch.
    pub fn new(num_outputs: usize, delay: Duration) -> Self {
        Self { num_outputs, delay }
    }
}

impl Engine for FakeEngine {
    fn run(&mut self, images: &[f32], batch: usize) -> Result<Vec<f32>> {
        if batch == 0 || !images.len().is_multiple_of(batch) {
            return Err(Error::input_length(batch, batch, images.len()));
        }
        std::thread::sleep(self.delay);
        let len = images.len() / batch;
        let mean = |image: &[f32]| image.iter().sum::<f32>() / len.max(1) as f32;
        let scores = |image| {
            let mean = mean(image);
            (0..self.num_outputs).map(move |k| mean * (k + 1) as f32)
        };
        Ok(images.chunks_exact(len.max(1)).flat_map(scores).collect())
    }

    fn num_outputs(&self) -> usize {
        self.num_outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fake_engine_scores_each_image_by_its_mean() {
        let mut engine = FakeEngine::new(2, Duration::ZERO);
        let scores = engine.run(&[1.0, 3.0, -1.0, -1.0], 2).unwrap();
        assert_eq!(scores, [2.0, 4.0, -1.0, -2.0]);
        assert!(engine.run(&[1.0, 2.0, 3.0], 2).is_err());
    }
}
