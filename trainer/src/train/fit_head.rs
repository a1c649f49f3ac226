//! Training of the classification layer of a frozen backbone to its minimum, on all cached features at once.
//!
//! It stands beside the loop and gives the same result: a network, checkpoints and one row of the history.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::tensor::TensorData;
use models::Network;

use super::{
    Checkpoints, Ended, Observer, Progress, Solver, TrainOptions, Trained, begin_or_resume,
    validate,
};
use crate::error::{Error, Result};
use crate::examples::{Examples, Purpose};
use crate::head::{self, Head};
use crate::interrupt::Interrupt;
use crate::model::Model;
use crate::recipe::SaveKind;
use crate::training_set::TrainingSet;

/// Fits the classification layer of a frozen network to the features in `data`.
///
/// There is nothing to save before the minimum is found: an interrupted fit begins anew.
pub(super) fn fit_head(
    mut model: Model,
    data: &TrainingSet,
    options: &TrainOptions,
    mut checkpoints: Checkpoints<'_>,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Trained> {
    let (optimizer, mut state) = begin_or_resume(&mut model, data, options, &mut checkpoints)?;
    if state.ended(options).is_none() {
        let (Examples::Features(train), Solver::Lbfgs { penalty }) = (&data.train, options.solver)
        else {
            unreachable!("a recipe has this solver with cached features alone")
        };
        observer.epoch_started(state.epoch, options.epochs);
        let started = Instant::now();
        let (head, fit) = head::fit(
            train.features(),
            data.classes.len(),
            &options.objective.class_weights,
            penalty,
            data.batching.seed,
            interrupt.flag(),
        );
        interrupt.check()?;
        if !head.is_finite() {
            return Err(Error::refused_with_hint(
                "the features of the backbone are too large for a classification layer in single precision",
                "take another backbone, or check its preprocessing",
            ));
        }
        let seconds = started.elapsed().as_secs_f64();
        observer.head_fitted(&fit, seconds);
        model.network = with_head(model.network, head)?;
        let scored = model.valid();
        let score = |examples: &Examples, observer: &mut dyn Observer| {
            let score = validate(&scored, examples, state.epoch, observer, interrupt)?;
            score.ok_or_else(|| interrupt.error())
        };
        // On the images as they are: their loss is comparable to that of the validation images.
        let originals = data.train.rebatched(Purpose::Evaluation, &data.batching);
        let train = score(&originals, &mut ())?;
        let val = score(&data.val, observer)?;
        state.train = Progress { seconds, ..train };
        state.head = Some(fit);
        state.end_epoch(&val, options);
        // L-BFGS has no learning rate.
        state.rows.iter_mut().for_each(|row| row.lr = 0.0);
        // Both are kept: there is one result.
        checkpoints.save_epoch(&model.network, &optimizer, &state, SaveKind::Best, true)?;
        observer.epoch_done(state.last_row(), true);
    }
    Ok(Trained {
        network: model.valid().network,
        epoch: state.epoch - 1,
        ended: Ended::Finished,
        rows: state.rows,
        head: state.head,
    })
}

/// The network with another classification layer.
fn with_head(network: Network, head: Head) -> Result<Network> {
    let (num_classes, width) = (head.bias.len(), head.weight.len() / head.bias.len());
    let tensors = BTreeMap::from([
        (
            "fc.weight".to_owned(),
            TensorData::new(head.weight, [num_classes, width]),
        ),
        (
            "fc.bias".to_owned(),
            TensorData::new(head.bias, [num_classes]),
        ),
    ]);
    Ok(network.load_state(&tensors)?)
}
