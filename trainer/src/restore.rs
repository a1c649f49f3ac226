//! The network of a run as one of its checkpoints left it, calibrated as the run was.

use models::Network;

use crate::calibrate::{self, Calibration};
use crate::context::TrainingContext;
use crate::error::Result;
use crate::model;
use crate::recipe::Recipe;
use crate::run_dir::{RunDir, Which};
use crate::train::{Checkpoint, State};

/// A restored network.
pub struct Restored {
    /// The network, with calibrated logits where the run was calibrated.
    pub network: Network,
    /// The state of its checkpoint.
    pub state: State,
    /// The temperature in the network.
    pub calibration: Option<Calibration>,
}

/// Restores a checkpoint of a run.
///
/// # Errors
/// When the checkpoint cannot be used, or its network cannot be built.
pub fn restore(
    run: &RunDir,
    which: Which,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> Result<Restored> {
    let checkpoint = Checkpoint::open(&run.checkpoint(which))?;
    let state = checkpoint.state().clone();
    let network = model::build_network(recipe, state.classes.len(), context)?;
    let network = checkpoint.network(network)?;
    let (network, calibration) = calibrate::restored(run, network, &state, context.printer)?;
    Ok(Restored {
        network,
        state,
        calibration,
    })
}
