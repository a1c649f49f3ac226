//! What a resumed run may change, and what not.

use super::{Recipe, Settings};
use crate::error::{Error, Result};
use crate::resolve;

impl Recipe {
    /// This run's recipe with the settings that a resumed run may change: `epochs`, `threads`,
    /// `device`, `memory`, `feature-cache`, `early-stop`, `no-test`, `no-calibrate`, `folds`, `seeds` and
    /// `strict-images`.
    ///
    /// Anything else that differs from the run is an error that names the flag, because the
    /// resumed run could not equal an uninterrupted one.
    pub fn resumed(&self, flags: Settings) -> Result<Recipe> {
        let allowed = Recipe {
            epochs: flags.epochs.unwrap_or(self.epochs),
            threads: flags.threads.or(self.threads),
            device: flags.device.unwrap_or(self.device),
            memory: flags.memory.unwrap_or(self.memory),
            feature_cache: flags.feature_cache.unwrap_or(self.feature_cache),
            early_stop: flags.early_stop.or(self.early_stop),
            no_test: flags.no_test.unwrap_or(self.no_test),
            no_calibrate: flags.no_calibrate.unwrap_or(self.no_calibrate),
            folds: flags.folds.or(self.folds),
            seeds: flags.seeds.or(self.seeds),
            strict_images: flags.strict_images.unwrap_or(self.strict_images),
            ..self.clone()
        };
        allowed.check()?;
        let data = flags.data.as_deref().map(resolve::absolute).transpose()?;
        let backbone = flags
            .backbone
            .as_deref()
            .map(resolve::absolute)
            .transpose()?;
        same("data", data.as_ref(), &self.data)?;
        let own = self.backbone.as_deref().unwrap_or("the custom ResNet");
        same("backbone", backbone.as_deref().as_ref(), &own)?;
        same("fine-tune", flags.fine_tune.as_ref(), &self.fine_tune)?;
        same("width", flags.width.as_ref(), &self.width)?;
        same("cells", flags.cells.as_ref(), &self.cells)?;
        same("growth", flags.growth.as_ref(), &self.growth)?;
        same("batch", flags.batch.as_ref(), &self.batch)?;
        same("lr", flags.lr.as_ref(), &self.lr)?;
        same_kind("optimizer", flags.optimizer, self.optimizer)?;
        same(
            "weight-decay",
            flags.weight_decay.as_ref(),
            &self.weight_decay,
        )?;
        same("momentum", flags.momentum.as_ref(), &self.momentum)?;
        same_kind("scheduler", flags.scheduler, self.scheduler)?;
        same("augment", flags.augment.as_ref(), &self.augment)?;
        let own = self.views.map_or("none".into(), |views| views.to_string());
        same(
            "views",
            flags.views.map(|views| views.to_string()).as_ref(),
            &own,
        )?;
        same("augment-val", flags.augment_val.as_ref(), &self.augment_val)?;
        same_kind("save", flags.save, self.save)?;
        same_kind("best-by", flags.best_by, self.best_by)?;
        same("seed", flags.seed.as_ref(), &self.seed)?;
        Ok(allowed)
    }
}

fn same<T: PartialEq + ToString>(flag: &str, asked: Option<&T>, own: &T) -> Result<()> {
    match asked {
        Some(asked) if asked != own => Err(Error::ResumeChanges {
            flag: flag.into(),
            expected: own.to_string(),
            found: asked.to_string(),
        }),
        _ => Ok(()),
    }
}

fn same_kind<T: PartialEq + clap::ValueEnum>(flag: &str, asked: Option<T>, own: T) -> Result<()> {
    let name = |kind: T| {
        kind.to_possible_value()
            .map_or_else(String::new, |v| v.get_name().into())
    };
    same(flag, asked.map(name).as_ref(), &name(own))
}
