//! Restores the network of a run from one of its checkpoints, calibrated as the run was.

use models::Network;
use report::run_files::Calibration;

use crate::calibrate;
use crate::context::TrainingContext;
use crate::error::Result;
use crate::model;
use crate::preprocessing::InputPreprocess;
use crate::recipe::Recipe;
use crate::run_dir::{CheckpointKind, RunDir};
use crate::train::{Checkpoint, State};

pub struct Restored {
    /// The network, with calibrated logits where the run was calibrated.
    pub network: Network,
    pub preprocess: InputPreprocess,
    pub state: State,
    pub calibration: Option<Calibration>,
}

/// Restores a checkpoint of a run.
pub fn restore(
    run: &RunDir,
    kind: CheckpointKind,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> Result<Restored> {
    let checkpoint = Checkpoint::open(&run.checkpoint(kind))?;
    let state = checkpoint.state().clone();
    let preprocess = InputPreprocess::of_run(run, recipe, context)?;
    let images = preprocess.images();
    let head = recipe.head(state.classes.len());
    let network = model::build_network(recipe, images, head, context)?;
    let network = match state.is_frozen_start() {
        true => checkpoint.network(network)?.into_frozen(),
        false => checkpoint.network(network)?,
    };
    let calibration = matching_calibration(&state, run, context)?;
    Ok(Restored {
        network: calibrate::apply(calibration.as_ref(), network),
        preprocess,
        state,
        calibration,
    })
}

/// The calibration of a run, where it is that of the checkpoint's epoch.
fn matching_calibration(
    state: &State,
    run: &RunDir,
    context: &TrainingContext<'_>,
) -> Result<Option<Calibration>> {
    let Some(calibration) = calibrate::open_calibration(run)? else {
        return Ok(None);
    };
    // In the middle of an epoch the weights are no epoch's.
    let is_own = state.train.step == 0 && state.epoch - 1 == calibration.epoch;
    if calibration.applied {
        context.printer.log(match is_own {
            true => format!("temperature {:.3}", calibration.temperature),
            false => format!(
                "not calibrated: the temperature is that of epoch {}",
                calibration.epoch
            ),
        });
    }
    Ok(Some(calibration).filter(|_| is_own))
}
