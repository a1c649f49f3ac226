//! Steps of tuning: a first race among variants, their scores, a second race among the shapes of those that are left.
//! Opens sessions; converts nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use data::{Dataset, Sample, Split};
use deploy::onnx::ModelFile;
use deploy::session::Feed;
use deploy::tuned::Setting;
use deploy::{Precision, Provider, Result};

use super::choice::{self, Limits};
use super::race::{self, Dropped, Finish, Rules};
use super::report::Tried;
use super::space::{Goal, Space, Variant};
use crate::accuracy::{self, Accuracy};
use crate::cold::{OpenedConfig, Opener};
use crate::key::Skipped;
use crate::plan::{Config, TestSet};
use crate::run::BenchConfig;
use crate::stats;
use crate::system;
use crate::worker::Input;

/// Share of the time for the first race, among variants.
const FIRST_RACE: f64 = 0.15;
/// Share of the time for the scores on validation images, and again for those on test images.
const SCORES: f64 = 0.2;
/// Fewest images to score, where there are so many: fewer show nothing.
const MIN_IMAGES: usize = 50;
/// Most of another variant's time that shapes can make up for: sessions, threads and batch change the time of an image
/// by less than this factor.
const HOPELESS: f64 = 0.5;

/// A variant with the file that it runs, and its session in the shape in which variants are compared.
#[derive(Debug)]
pub struct OpenVariant {
    pub variant: Variant,
    pub file: ModelFile,
    opened: OpenedConfig,
    validation: Option<Accuracy>,
    test: Option<Accuracy>,
    /// Why it left the first race.
    dropped: Option<String>,
}

/// Tunes one model. The first of the variants is the reference: the file as it is on the CPU provider.
pub struct Tuner<'a> {
    pub opener: Opener<'a>,
    pub space: Space,
    pub limits: Limits,
    pub seed: u64,
    pub start: Instant,
    /// Time from then on.
    pub time: Duration,
    pub stop: Arc<AtomicBool>,
    /// Input of the runs.
    pub input: Input,
    /// Seconds to decode and prepare an image on one thread.
    pub prepare_seconds: f64,
    /// Called with lines for people.
    pub log: &'a dyn Fn(String),
}

/// A setting in the second race, of the variant of that index.
struct Entry {
    variant: usize,
    setting: Setting,
    opened: OpenedConfig,
}

impl Tuner<'_> {
    /// Opens a variant in its first shape.
    ///
    /// # Errors
    /// The provider or the session refuses it.
    pub fn open(&mut self, variant: Variant, file: ModelFile) -> Result<OpenVariant> {
        let opened = self.open_setting(&self.space.first(variant), &file)?;
        Ok(OpenVariant {
            variant,
            file,
            opened,
            validation: None,
            test: None,
            dropped: None,
        })
    }

    fn open_setting(&mut self, setting: &Setting, file: &ModelFile) -> Result<OpenedConfig> {
        let config = Config {
            model: 0,
            provider: setting.provider,
            precision: setting.precision,
            batch: setting.batch,
            feed: Feed::Host,
            streams: setting.sessions,
            threads: setting.threads,
        };
        let input = self.input.clone();
        self.opener.open(&config, file, &input)
    }

    fn is_interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn seconds(&self, share: f64) -> Duration {
        self.time.mul_f64(share)
    }

    /// Races the variants in their first shape. Only the reference drops others: of two variants nothing is known yet but
    /// their time, but one that is slower than the reference, whose answers are right by definition, is no gain. Returns
    /// the measurements of each.
    ///
    /// # Errors
    /// A model stops.
    pub fn race_variants(&self, variants: &mut [OpenVariant]) -> Result<Finish> {
        let is_reference = |by: usize, _: usize| by == 0;
        let candidates: Vec<&BenchConfig> = variants.iter().map(|v| &v.opened.sessions).collect();
        // Another shape may keep within the limit of the latency.
        let finish = self.race(&candidates, &is_reference, None, self.seconds(FIRST_RACE))?;
        let reference = self.space.first(variants[0].variant);
        for (variant, dropped) in variants.iter_mut().zip(&finish.dropped) {
            variant.dropped = dropped.map(|dropped| self.why(dropped, |_| reference));
        }
        Ok(finish)
    }

    /// The reason in words, for which `setting` names a candidate.
    fn why(&self, dropped: Dropped, setting: impl Fn(usize) -> Setting) -> String {
        match dropped {
            Dropped::Slower { than, share } => {
                format!("{share:.2} times as fast as {}", setting(than))
            }
            Dropped::TooSlow => {
                let limit = self.limits.max_latency_ms.unwrap_or_default();
                format!("its runs take longer than {limit} ms")
            }
        }
    }

    /// The candidate 0 stays, since all are compared with it.
    fn race(
        &self,
        candidates: &[&BenchConfig],
        may_drop: &dyn Fn(usize, usize) -> bool,
        max_latency_ms: Option<f64>,
        time: Duration,
    ) -> Result<Finish> {
        let rules = Rules {
            goal: self.space.goal,
            seed: self.seed,
            may_drop,
            kept: 0,
            max_latency: max_latency_ms.map(|ms| ms / 1e3),
        };
        race::race(candidates, &rules, time, &self.stop)
    }

    /// Scores the variants that are left on images of a split, and compares them with the reference: the validation
    /// images choose, the test images are reported. Of many images, as many as there is time for. Returns their number.
    ///
    /// # Errors
    /// The classes do not fit, too many images are unreadable, or a model stops.
    pub fn score(
        &self,
        variants: &mut [OpenVariant],
        first: &Finish,
        data: &TestSet,
    ) -> Result<usize> {
        let scored: Vec<usize> = (0..variants.len())
            .filter(|index| variants[*index].dropped.is_none())
            .collect();
        let seconds = |index: &usize| {
            let turns = &first.turns[*index];
            let image = turns
                .last()
                .map_or(0.0, |turn| race::cost(turn, Goal::Throughput));
            image + self.prepare_seconds / self.space.cores.max(1) as f64
        };
        let per_image: f64 = scored.iter().map(seconds).sum();
        let affordable = self.seconds(SCORES).as_secs_f64() / per_image.max(1e-9);
        let data = evenly(data, (affordable as usize).max(MIN_IMAGES));
        let model = &self.opener.plan.models[0];
        let mut reference = None;
        for index in scored {
            if self.is_interrupted() {
                break;
            }
            let Variant {
                provider,
                precision,
            } = variants[index].variant;
            (self.log)(format!(
                "scoring {provider} {precision} on {} images of {}",
                data.samples().len(),
                data.split
            ));
            let worker = &variants[index].opened.sessions.workers[0];
            let found = match accuracy::evaluate_worker(worker, model, &data, &self.stop) {
                Err(_) if self.is_interrupted() => break,
                found => found?,
            };
            let reference = &*reference.get_or_insert_with(|| found.clone());
            let accuracy = Some(accuracy::compare(&found, reference));
            match data.split {
                Split::Val => variants[index].validation = accuracy,
                _ => variants[index].test = accuracy,
            }
        }
        Ok(data.samples().len())
    }

    /// Drops variants that no shape can save: another one is at least as accurate and takes less than half of the time.
    pub fn drop_hopeless(&self, variants: &mut [OpenVariant], first: &Finish) {
        let costs = |index: usize| -> Vec<f64> {
            let turns = first.turns[index].iter();
            turns
                .map(|turn| race::cost(turn, self.space.goal))
                .collect()
        };
        let costs: Vec<Vec<f64>> = (0..variants.len()).map(costs).collect();
        for index in 1..variants.len() {
            let own = &variants[index];
            let beats = |other: &usize| {
                let shown = race::share(&costs[*other], &costs[index], 1);
                variants[*other].dropped.is_none()
                    && self.is_at_least_as_accurate(&variants[*other], own)
                    && shown.is_some_and(|[_, _, high]| high < HOPELESS)
            };
            let better = (0..variants.len())
                .filter(|other| *other != index)
                .find(beats);
            if let (Some(other), None) = (better, &own.dropped) {
                let Variant {
                    provider,
                    precision,
                } = variants[other].variant;
                variants[index].dropped = Some(format!(
                    "less than half as fast as {provider} {precision}, which is at least as accurate"
                ));
            }
        }
    }

    /// Whether the first may drop the second for its speed: by the validation images, or without them where it computes
    /// in the reference's precision or in the second's own.
    fn is_at_least_as_accurate(&self, first: &OpenVariant, second: &OpenVariant) -> bool {
        match (&first.validation, &second.validation) {
            (Some(first), Some(second)) => first.correct >= second.correct,
            _ => {
                let own = self.opener.plan.models[0].contents.precision;
                first.variant.precision == Precision::Fp32.in_file(own)
                    || first.variant == second.variant
            }
        }
    }

    /// Races every shape of the variants that are left, and returns what was tried: the settings of this race, then the
    /// variants that the first one dropped. The default, which stays in the race, is the first.
    ///
    /// # Errors
    /// A session does not open, or a model stops.
    pub fn race_shapes(
        &mut self,
        variants: &[OpenVariant],
        first: &Finish,
        skipped: &mut Vec<Skipped>,
    ) -> Result<Vec<Tried>> {
        let own = self.opener.plan.models[0].contents.precision;
        let default = self.space.default_setting(own);
        let mut settings = vec![(0, default)];
        for (index, variant) in variants.iter().enumerate() {
            let shapes = self.space.shapes(variant.variant);
            let others = shapes.into_iter().filter(|setting| *setting != default);
            settings.extend(
                others
                    .filter(|_| variant.dropped.is_none())
                    .map(|s| (index, s)),
            );
        }
        let entries = self.open_entries(settings, variants, skipped)?;
        (self.log)(format!("measuring {} settings in turns", entries.len()));
        let may_drop = |by: usize, other: usize| {
            let [by, other] = [by, other].map(|index| &variants[entries[index].variant]);
            self.is_at_least_as_accurate(by, other)
        };
        let candidates: Vec<&BenchConfig> = entries.iter().map(|e| &e.opened.sessions).collect();
        let has_test = self.opener.plan.models[0].data.is_some();
        let reserved = self.seconds(if has_test { SCORES } else { 0.0 });
        let time = self.time.saturating_sub(self.start.elapsed() + reserved);
        let finish = self.race(&candidates, &may_drop, self.limits.max_latency_ms, time)?;
        let mut tried: Vec<Tried> = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let dropped = finish.dropped[index]
                .map(|dropped| self.why(dropped, |than| entries[than].setting));
            let validation = variants[entry.variant].validation.clone();
            let figures = self.figures(entry.setting, &finish, index, true);
            tried.extend(figures.map(|tried| Tried {
                validation,
                dropped,
                ..tried
            }));
        }
        for (index, variant) in variants
            .iter()
            .enumerate()
            .filter(|(_, v)| v.dropped.is_some())
        {
            let (validation, dropped) = (variant.validation.clone(), variant.dropped.clone());
            // The reference was in its first shape there, which need not be the default's.
            let is_default = self.space.first(variants[0].variant) == default;
            let figures = self.figures(self.space.first(variant.variant), first, index, is_default);
            tried.extend(figures.map(|tried| Tried {
                validation,
                dropped,
                ..tried
            }));
        }
        Ok(tried)
    }

    /// Opens the settings, as long as there is memory for their sessions; the first must open.
    fn open_entries(
        &mut self,
        settings: Vec<(usize, Setting)>,
        variants: &[OpenVariant],
        skipped: &mut Vec<Skipped>,
    ) -> Result<Vec<Entry>> {
        let mut entries = Vec::with_capacity(settings.len());
        for (variant, setting) in settings {
            if self.is_interrupted() {
                break;
            }
            if !entries.is_empty() && !system::has_memory() {
                skipped.push(Skipped {
                    configuration: setting.to_string(),
                    reason: "the memory is taken by the sessions of other settings".to_owned(),
                });
                continue;
            }
            match self.open_setting(&setting, &variants[variant].file) {
                Ok(opened) => entries.push(Entry {
                    variant,
                    setting,
                    opened,
                }),
                Err(error) if entries.is_empty() => return Err(error),
                // A GPU has less memory than a batch may need.
                Err(error) => skipped.push(Skipped {
                    configuration: setting.to_string(),
                    reason: error.to_string(),
                }),
            }
        }
        Ok(entries)
    }

    /// The figures of the setting that had this index in a race; `None` where it never ran. `is_default`: whether the
    /// candidate 0 was the default.
    fn figures(
        &self,
        setting: Setting,
        finish: &Finish,
        index: usize,
        is_default: bool,
    ) -> Option<Tried> {
        let turns = &finish.turns[index];
        let stats = stats::stats(turns, self.seed)?;
        let costs = |index: usize| -> Vec<f64> {
            let turns = finish.turns[index].iter();
            turns
                .map(|turn| race::cost(turn, self.space.goal))
                .collect()
        };
        let own = costs(index);
        let (seconds, interval) = race::mean(&own);
        let comparisons = finish.turns.len() - 1;
        let speedup = race::share(&own, &costs(0), comparisons).filter(|_| is_default);
        Some(Tried {
            setting,
            rounds: turns.len(),
            runs: stats.runs,
            ms: 1e3 * seconds,
            interval: interval.map(|seconds| 1e3 * seconds),
            images_per_second: stats.images_per_second,
            latency_ms: stats.latency_ms,
            speedup: speedup.map(|[low, share, high]| [1.0 / high, 1.0 / share, 1.0 / low]),
            validation: None,
            test: None,
            dropped: None,
        })
    }

    /// Adds the scores on the test images to what was tried.
    pub fn add_test(&self, tried: &mut [Tried], variants: &[OpenVariant]) {
        for tried in tried {
            let of_setting = |variant: &&OpenVariant| {
                let Variant {
                    provider,
                    precision,
                } = variant.variant;
                (provider, precision) == (tried.setting.provider, tried.setting.precision)
            };
            let variant = variants.iter().find(of_setting);
            tried.test = variant.and_then(|variant| variant.test.clone());
        }
    }

    /// The recommendation, and the frontier of time and accuracy.
    pub fn choose(&self, tried: &[Tried]) -> choice::Choice {
        choice::choose(tried, 0, &self.limits)
    }
}

/// At most `count` images of a test set, evenly spread: they are sorted by class.
fn evenly(data: &TestSet, count: usize) -> TestSet {
    let samples = data.samples();
    let step = samples.len().div_ceil(count.max(1)).max(1);
    let chosen: Vec<Sample> = samples.iter().step_by(step).cloned().collect();
    let (mut val, mut test) = (Vec::new(), Vec::new());
    match data.split {
        Split::Val => val = chosen,
        _ => test = chosen,
    }
    TestSet {
        dataset: Dataset {
            val,
            test,
            ..data.dataset.clone()
        },
        ..data.clone()
    }
}

/// The variants to try: the reference first, then every precision of each provider.
pub fn variants(
    providers: &[Provider],
    precisions: &[Precision],
    own: &str,
    has_images: bool,
) -> Vec<Variant> {
    let reference = Variant {
        provider: Provider::Cpu,
        precision: Precision::Fp32.in_file(own),
    };
    let mut all = vec![reference];
    for provider in providers {
        for precision in super::space::precisions(*provider, own, has_images) {
            let variant = Variant {
                provider: *provider,
                precision,
            };
            let is_wanted = precisions.is_empty() || precisions.contains(&precision);
            if is_wanted && !all.contains(&variant) {
                all.push(variant);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_always_the_first_variant() {
        let text = |variants: Vec<Variant>| {
            let name = |v: Variant| format!("{} {}", v.provider, v.precision);
            variants
                .into_iter()
                .map(name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let both = [Provider::openvino(), Provider::Cpu];
        assert_eq!(
            text(variants(
                &both,
                &[Precision::Fp32, Precision::Int8],
                "fp32",
                true
            )),
            "cpu fp32, openvino:cpu fp32, openvino:cpu int8, cpu int8"
        );
        assert_eq!(
            text(variants(&both, &[Precision::Int8], "fp32", false)),
            "cpu fp32"
        );
        assert_eq!(
            text(variants(&both, &[], "int8", true)),
            "cpu int8, openvino:cpu int8"
        );
    }

    #[test]
    fn few_images_are_spread_over_all_of_them() {
        let sample = |index: usize| Sample {
            path: format!("{index}.jpg").into(),
            relative: format!("{index}.jpg"),
            label: u32::from(index >= 5),
        };
        let data = TestSet {
            dataset: Dataset {
                root: "photos".into(),
                classes: vec!["ants".into(), "bees".into()],
                train: Vec::new(),
                val: (0..11).map(sample).collect(),
                test: (0..3).map(sample).collect(),
                left_out: Vec::new(),
                notes: Vec::new(),
            },
            split: Split::Val,
            classes: Vec::new(),
            preprocess: data::Preprocess::imagenet(),
        };
        let names = |count| -> Vec<String> {
            let few = evenly(&data, count);
            few.samples().iter().map(|s| s.relative.clone()).collect()
        };
        assert_eq!(names(4), ["0.jpg", "3.jpg", "6.jpg", "9.jpg"]);
        assert_eq!(names(100).len(), 11);
    }
}
