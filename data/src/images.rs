//! Decoded images in memory, within a budget. Knows files and pixels, not batches.

use crate::decode::{self, Limits};
use crate::preprocess::Color;
use crate::{DecodedImage, Error, Result, Sample, Unreadable, unreadable};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// Options for reading images.
#[derive(Clone, Debug)]
pub struct ImagesOptions {
    /// Budget for decoded pixels, bytes; images beyond it are decoded on every use.
    pub budget_bytes: u64,
    /// Whether an unreadable file is an error; otherwise it is left out and listed.
    pub strict: bool,
    /// Decoding threads.
    pub threads: usize,
    /// Limits on each image.
    pub limits: Limits,
    /// Channels of the network: alpha is decoded for four alone.
    pub color: Color,
    /// Ends the loading when set: images not decoded by then are decoded on every use.
    pub stop: Arc<AtomicBool>,
}

impl Default for ImagesOptions {
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        ImagesOptions {
            budget_bytes: 2 << 30,
            strict: false,
            threads,
            limits: Limits::default(),
            color: Color::Rgb,
            stop: Arc::default(),
        }
    }
}

/// The decoded images of one split.
#[derive(Debug)]
pub struct Images {
    samples: Vec<Sample>,
    kept: Vec<Option<Arc<DecodedImage>>>,
    limits: Limits,
    color: Color,
    spare_bytes: u64,
}

/// Result of decoding one file.
enum Outcome {
    Kept(Arc<DecodedImage>),
    OverBudget,
    Failed(pixels::Error),
}

impl Images {
    /// Decodes every sample once, in parallel. Unreadable ones are left out and listed.
    ///
    /// `progress` receives the number of files done, from several threads.
    ///
    /// # Errors
    /// With `strict`, the first unreadable file; otherwise when more than 5 % are unreadable.
    pub fn load(
        samples: Vec<Sample>,
        options: &ImagesOptions,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(Images, Vec<Unreadable>)> {
        let used_bytes = AtomicU64::new(0);
        let outcomes = decode_all(&samples, options, &used_bytes, progress);
        let total = samples.len();
        let mut images = Images {
            samples: Vec::with_capacity(total),
            kept: Vec::with_capacity(total),
            limits: options.limits,
            color: options.color,
            spare_bytes: options.budget_bytes.saturating_sub(used_bytes.into_inner()),
        };
        let mut unreadable = Vec::new();
        for (sample, outcome) in samples.into_iter().zip(outcomes) {
            let kept = match outcome {
                Some(Outcome::Kept(image)) => Some(image),
                Some(Outcome::OverBudget) => None,
                Some(Outcome::Failed(error)) if options.strict => return Err(error.into()),
                Some(Outcome::Failed(error)) => {
                    unreadable.push(Unreadable {
                        path: sample.path,
                        reason: error.reason(),
                    });
                    continue;
                }
                // Loading was stopped: by the caller, or by a failure in strict mode, which this loop
                // returns when it comes to it.
                None => None,
            };
            images.samples.push(sample);
            images.kept.push(kept);
        }
        unreadable::check(&unreadable, total)?;
        Ok((images, unreadable))
    }

    /// The readable samples, in the order of [`get`](Self::get)'s indices.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The image at `index`, from memory or decoded again.
    ///
    /// # Errors
    /// The file has become unreadable, or the index is past the end.
    pub fn get(&self, index: usize) -> Result<Arc<DecodedImage>> {
        match (self.kept.get(index), self.samples.get(index)) {
            (Some(Some(image)), _) => Ok(image.clone()),
            (_, Some(sample)) => {
                let image = decode::open_as(&sample.path, self.color, &self.limits)?;
                Ok(Arc::new(image))
            }
            _ => Err(Error::invalid(format!(
                "there is no image {index}: there are {}",
                self.samples.len()
            ))),
        }
    }

    /// Some of these images, in this order, without decoding or copying any. Each brings its share of the
    /// remaining budget.
    ///
    /// # Panics
    /// An index is past the end.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Images {
        // Bytes times images may exceed 64 bits.
        let (part, all) = (indices.len() as u128, self.samples.len().max(1) as u128);
        Images {
            samples: indices.iter().map(|&i| self.samples[i].clone()).collect(),
            kept: indices.iter().map(|&i| self.kept[i].clone()).collect(),
            limits: self.limits,
            color: self.color,
            spare_bytes: (u128::from(self.spare_bytes) * part / all) as u64,
        }
    }

    /// These images and then the others, without decoding or copying any.
    #[must_use]
    pub fn join(&self, others: &Images) -> Images {
        Images {
            samples: [&self.samples[..], &others.samples].concat(),
            kept: [&self.kept[..], &others.kept].concat(),
            limits: self.limits,
            color: self.color,
            spare_bytes: self.spare_bytes.saturating_add(others.spare_bytes),
        }
    }

    /// The remaining budget, bytes.
    #[must_use]
    pub fn spare_bytes(&self) -> u64 {
        self.spare_bytes
    }
}

/// Decodes in threads; outcomes are in the order of the samples. In strict mode a failure stops the rest.
fn decode_all(
    samples: &[Sample],
    options: &ImagesOptions,
    used_bytes: &AtomicU64,
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<Option<Outcome>> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    // Threads take the next sample in order, so that what fits the budget is always the first images.
    let work = || {
        let mut found = Vec::new();
        while !(stop.load(Ordering::Relaxed) || options.stop.load(Ordering::Relaxed)) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(sample) = samples.get(index) else {
                break;
            };
            let outcome = decode_one(sample, options, used_bytes);
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
    // The calling thread works, too: with one thread none is started.
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

fn decode_one(sample: &Sample, options: &ImagesOptions, used_bytes: &AtomicU64) -> Outcome {
    match decode::open_as(&sample.path, options.color, &options.limits) {
        Err(error) => Outcome::Failed(error),
        Ok(image) => {
            let bytes = image.num_bytes() as u64;
            // Reserve first, then look: two threads must not both take the last bytes.
            if used_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= options.budget_bytes {
                return Outcome::Kept(Arc::new(image));
            }
            used_bytes.fetch_sub(bytes, Ordering::Relaxed);
            Outcome::OverBudget
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Images, ImagesOptions};
    use crate::preprocess::Color;
    use crate::{Error, Sample};
    use image::{Rgb, RgbImage};
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::Ordering;

    /// `count` images of 4 x 3, those at `broken` not images at all.
    fn samples(folder: &Path, count: usize, broken: &[usize]) -> Vec<Sample> {
        (0..count)
            .map(|i| {
                let path = folder.join(format!("{i:02}.png"));
                if broken.contains(&i) {
                    fs_err::write(&path, "no image").unwrap();
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
    fn alpha_is_decoded_for_four_channels_counted_and_decoded_again() {
        let folder = tempfile::tempdir().unwrap();
        let samples = samples(folder.path(), 1, &[]);
        let clear = image::RgbaImage::from_pixel(4, 3, image::Rgba([1, 2, 3, 4]));
        clear.save(&samples[0].path).unwrap();
        // 4 x 3 pixels of 6 bytes.
        for (budget, color, num_kept) in [
            (72, Color::Rgba, 1),
            (71, Color::Rgba, 0),
            (71, Color::Rgb, 1),
        ] {
            let options = ImagesOptions {
                color,
                ..options(budget, true, 1)
            };
            let (images, _) = Images::load(samples.clone(), &options, &|_| {}).unwrap();
            assert_eq!(images.kept.iter().flatten().count(), num_kept);
            for images in [&images, &images.select(&[0]), &images.join(&images)] {
                let image = images.get(0).unwrap();
                assert_eq!(image.rgb.get_pixel(3, 2).0, [1, 2, 3]);
                let alpha = image.alpha.as_ref().map(|alpha| alpha.get_pixel(3, 2).0);
                assert_eq!(alpha, color.has_alpha().then_some([4; 3]));
            }
        }
    }

    #[test]
    fn loading_that_is_stopped_decodes_nothing_more_and_loses_no_image() {
        let folder = tempfile::tempdir().unwrap();
        let samples = samples(folder.path(), 9, &[]);
        let options = options(1 << 20, false, 1);
        let stop_at_third = |done| options.stop.store(done == 3, Ordering::Relaxed);
        let (images, _) = Images::load(samples.clone(), &options, &stop_at_third).unwrap();
        assert_eq!(images.kept.iter().flatten().count(), 3);
        assert_eq!(images.samples(), samples);
        assert_eq!(images.get(8).unwrap().rgb.get_pixel(0, 0)[0], 8);
    }

    #[test]
    fn images_are_the_same_whether_kept_or_read_again() {
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
                assert_eq!(images.get(i).unwrap().rgb.get_pixel(0, 0)[0], i as u8);
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
        assert_eq!(images.get(7).unwrap().rgb.get_pixel(0, 0)[0], 8);
        assert_eq!(unreadable.len(), 1);
        assert!(unreadable[0].path.ends_with("07.png") && !unreadable[0].reason.is_empty());

        let error = Images::load(samples, &options(1 << 20, true, 3), &|_| {}).unwrap_err();
        assert!(error.to_string().contains("07.png"), "{error}");
    }

    #[test]
    fn images_are_joined_and_selected_without_being_read_again() {
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
        for (index, value) in [4, 1].into_iter().enumerate() {
            assert_eq!(some.samples()[index], samples[value]);
            assert_eq!(some.get(index).unwrap().rgb.get_pixel(0, 0)[0], value as u8);
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
