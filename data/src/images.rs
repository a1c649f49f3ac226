//! Pictures decoded once and kept in memory, as far as a budget goes.
//!
//! This room knows files and pixels, not batches.

use crate::decode::{self, Limits};
use crate::{Error, Result, Sample, Unreadable, unreadable};
use image::RgbImage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// How pictures are read.
#[derive(Clone, Debug)]
pub struct ImagesOptions {
    /// Bytes of decoded pixels kept in memory; what does not fit is decoded again when asked for.
    pub budget_bytes: u64,
    /// Whether an unreadable file is an error; otherwise it is left out and listed.
    pub strict: bool,
    /// Decoding threads.
    pub threads: usize,
    /// The largest pictures taken.
    pub limits: Limits,
}

impl Default for ImagesOptions {
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        ImagesOptions {
            budget_bytes: 2 << 30,
            strict: false,
            threads,
            limits: Limits::default(),
        }
    }
}

/// The decoded pictures of one split. Shared between threads.
#[derive(Debug)]
pub struct Images {
    samples: Vec<Sample>,
    kept: Vec<Option<Arc<RgbImage>>>,
    limits: Limits,
    spare_bytes: u64,
}

/// What became of one file.
enum Outcome {
    Kept(Arc<RgbImage>),
    TooMuch,
    Failed(pixels::Error),
}

impl Images {
    /// Decodes every sample once, in parallel; the unreadable ones are left out and listed.
    ///
    /// `progress` gets the number of files done, from several threads.
    ///
    /// # Errors
    /// With `strict`, the first unreadable file; otherwise when more than 5 % are unreadable.
    pub fn load(
        samples: Vec<Sample>,
        options: &ImagesOptions,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(Images, Vec<Unreadable>)> {
        let held = AtomicU64::new(0);
        let outcomes = decode_all(&samples, options, &held, progress);
        let total = samples.len();
        let mut images = Images {
            samples: Vec::with_capacity(total),
            kept: Vec::with_capacity(total),
            limits: options.limits,
            spare_bytes: options.budget_bytes.saturating_sub(held.into_inner()),
        };
        let mut unreadable = Vec::new();
        for (sample, outcome) in samples.into_iter().zip(outcomes) {
            let kept = match outcome {
                Some(Outcome::Kept(image)) => Some(image),
                Some(Outcome::TooMuch) => None,
                Some(Outcome::Failed(error)) if options.strict => return Err(error.into()),
                Some(Outcome::Failed(error)) => {
                    unreadable.push(Unreadable {
                        path: sample.path,
                        reason: error.reason(),
                    });
                    continue;
                }
                // Only after a failure in strict mode, which is found first or later.
                None => None,
            };
            images.samples.push(sample);
            images.kept.push(kept);
        }
        unreadable::check(&unreadable, total)?;
        Ok((images, unreadable))
    }

    /// The readable samples; indices of [`get`](Self::get) are places in this list.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The picture at `index`, from memory or decoded again.
    ///
    /// # Errors
    /// When the file has become unreadable, or there is no such index.
    pub fn get(&self, index: usize) -> Result<Arc<RgbImage>> {
        match (self.kept.get(index), self.samples.get(index)) {
            (Some(Some(image)), _) => Ok(image.clone()),
            (_, Some(sample)) => Ok(Arc::new(decode::open(&sample.path, &self.limits)?)),
            _ => Err(Error::invalid(format!(
                "there is no image {index}: there are {}",
                self.samples.len()
            ))),
        }
    }

    /// Some of these pictures, in this order, without decoding or copying any; each brings its share
    /// of what is left of the budget.
    ///
    /// # Panics
    /// When a place is past the end.
    #[must_use]
    pub fn select(&self, places: &[usize]) -> Images {
        let (part, all) = (places.len() as u128, self.samples.len().max(1) as u128);
        Images {
            samples: places.iter().map(|&i| self.samples[i].clone()).collect(),
            kept: places.iter().map(|&i| self.kept[i].clone()).collect(),
            limits: self.limits,
            spare_bytes: (u128::from(self.spare_bytes) * part / all) as u64,
        }
    }

    /// These pictures and then the others, without decoding or copying any.
    #[must_use]
    pub fn join(&self, others: &Images) -> Images {
        Images {
            samples: [&self.samples[..], &others.samples].concat(),
            kept: [&self.kept[..], &others.kept].concat(),
            limits: self.limits,
            spare_bytes: self.spare_bytes.saturating_add(others.spare_bytes),
        }
    }

    /// What is left of the budget, in bytes.
    #[must_use]
    pub fn spare_bytes(&self) -> u64 {
        self.spare_bytes
    }
}

/// Decodes in threads; the place of an outcome is the sample's. Strict runs stop at a failure.
fn decode_all(
    samples: &[Sample],
    options: &ImagesOptions,
    held: &AtomicU64,
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<Option<Outcome>> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    let work = || {
        let mut found = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(sample) = samples.get(index) else {
                break;
            };
            let outcome = decode_one(sample, options, held);
            if options.strict && matches!(outcome, Outcome::Failed(_)) {
                stop.store(true, Ordering::Relaxed);
            }
            found.push((index, outcome));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
        found
    };
    let mut outcomes: Vec<Option<Outcome>> = Vec::new();
    outcomes.resize_with(samples.len(), || None);
    let threads = options.threads.clamp(1, samples.len().max(1));
    thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for worker in workers {
            match worker.join() {
                Ok(found) => all.extend(found),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        for (index, outcome) in all {
            outcomes[index] = Some(outcome);
        }
    });
    outcomes
}

fn decode_one(sample: &Sample, options: &ImagesOptions, held: &AtomicU64) -> Outcome {
    match decode::open(&sample.path, &options.limits) {
        Err(error) => Outcome::Failed(error),
        Ok(image) => {
            let bytes = image.as_raw().len() as u64;
            if held.fetch_add(bytes, Ordering::Relaxed) + bytes <= options.budget_bytes {
                return Outcome::Kept(Arc::new(image));
            }
            held.fetch_sub(bytes, Ordering::Relaxed);
            Outcome::TooMuch
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Images, ImagesOptions};
    use crate::{Error, Sample};
    use image::{Rgb, RgbImage};
    use std::path::Path;
    use std::sync::Mutex;

    /// `count` pictures of 4 x 3, the places in `broken` not pictures at all.
    fn samples(folder: &Path, count: usize, broken: &[usize]) -> Vec<Sample> {
        (0..count)
            .map(|i| {
                let path = folder.join(format!("{i:02}.png"));
                if broken.contains(&i) {
                    fs_err::write(&path, "no picture").unwrap();
                } else {
                    RgbImage::from_pixel(4, 3, Rgb([i as u8, 0, 0]))
                        .save(&path)
                        .unwrap();
                }
                Sample {
                    path,
                    relative: format!("a/{i:02}.png"),
                    label: i as u32 % 2,
                }
            })
            .collect()
    }

    fn options(budget_bytes: u64, strict: bool, threads: usize) -> ImagesOptions {
        ImagesOptions {
            budget_bytes,
            strict,
            threads,
            ..ImagesOptions::default()
        }
    }

    #[test]
    fn pictures_are_the_same_whether_kept_or_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let samples = samples(folder.path(), 9, &[]);
        for (budget, threads, spare) in [(1 << 20, 3, (1 << 20) - 9 * 36), (100, 2, 28), (0, 1, 0)]
        {
            let seen = Mutex::new(Vec::new());
            let watch = |done| seen.lock().unwrap().push(done);
            let (images, unreadable) =
                Images::load(samples.clone(), &options(budget, true, threads), &watch).unwrap();
            assert!(unreadable.is_empty());
            assert_eq!(images.spare_bytes(), spare);
            for i in 0..9 {
                assert_eq!(images.get(i).unwrap().get_pixel(0, 0)[0], i as u8);
            }
            assert_eq!(seen.lock().unwrap().len(), 9);
            let error = images.get(9).unwrap_err().to_string();
            assert_eq!(error, "there is no image 9: there are 9");
        }
    }

    #[test]
    fn a_few_unreadable_files_are_left_out_and_listed() {
        let folder = tempfile::tempdir().unwrap();
        let samples = samples(folder.path(), 20, &[7]);
        let (images, unreadable) =
            Images::load(samples.clone(), &options(1 << 20, false, 3), &|_| {}).unwrap();
        assert_eq!(images.samples().len(), 19);
        assert_eq!(images.get(7).unwrap().get_pixel(0, 0)[0], 8);
        assert_eq!(unreadable.len(), 1);
        assert!(unreadable[0].path.ends_with("07.png") && !unreadable[0].reason.is_empty());

        let error = Images::load(samples, &options(1 << 20, true, 3), &|_| {}).unwrap_err();
        assert!(error.to_string().contains("07.png"), "{error}");
    }

    #[test]
    fn pictures_are_joined_and_selected_without_being_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let samples = samples(folder.path(), 5, &[]);
        let load = |part: &[Sample], budget| {
            let options = options(budget, true, 1);
            Images::load(part.to_vec(), &options, &|_| {}).unwrap().0
        };
        // The second part is read again when asked for.
        let all = load(&samples[..3], 208).join(&load(&samples[3..], 0));
        assert_eq!((all.samples(), all.spare_bytes()), (&samples[..], 100));
        let some = all.select(&[4, 1]);
        assert_eq!(some.spare_bytes(), 40);
        for sample in &samples[..3] {
            fs_err::remove_file(&sample.path).unwrap();
        }
        for (place, value) in [4, 1].into_iter().enumerate() {
            assert_eq!(some.samples()[place], samples[value]);
            assert_eq!(some.get(place).unwrap().get_pixel(0, 0)[0], value as u8);
        }
    }

    #[test]
    fn more_than_one_in_twenty_unreadable_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = Images::load(
            samples(folder.path(), 20, &[3, 7]),
            &options(0, false, 2),
            &|_| {},
        )
        .unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooManyUnreadable {
                    unreadable: 2,
                    total: 20,
                    ..
                }
            ),
            "{error}"
        );
    }
}
