//! Classifies very many images from several threads, one in a hundred of them hostile, and watches memory and answers.
//!
//! `cargo run --release -p classifold --example soak -- MODEL [IMAGES] [THREADS]`; 1,000,000 images and 8 threads when
//! they are left out. Exits with 1 when an answer differs from the first one for the same bytes, or when memory grows
//! by more than 5 % after the first tenth.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an app prints")]

use std::io::Cursor;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use classifold::runtime::{self, Search};
use classifold::{Classifier, RgbImage};
use image::{DynamicImage, ImageFormat, Rgb};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let model = arguments
        .first()
        .ok_or("usage: soak MODEL [IMAGES] [THREADS]")?;
    let images: u64 = arguments
        .get(1)
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let threads: u64 = arguments.get(2).map_or(Ok(8), |text| text.parse())?;
    #[expect(unsafe_code, reason = "setting an environment variable")]
    // SAFETY: the first statement of `main`: no thread has started.
    unsafe {
        classifold::runtime::disable_telemetry();
    }
    let search = Search::from_env(None, None);
    let found = runtime::ensure(&search, &|line| println!("{line}"), true)?;
    let cores = std::thread::available_parallelism()?.get();
    let builder = Classifier::builder(model).runtime(found);
    let classifier = &builder.sessions(cores).threads(1).open()?;

    let (sound, hostile) = (&sound_images(), &hostile_images());
    let first: &Vec<String> = &sound
        .iter()
        .chain(hostile)
        .map(|bytes| answer(classifier, bytes))
        .collect();
    println!(
        "{} sound images, {} hostile ones",
        sound.len(),
        hostile.len()
    );
    let (next, wrong) = (&AtomicU64::new(0), &AtomicU64::new(0));
    let (start, mut settled, mut last) = (Instant::now(), 0, 0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= images {
                        return;
                    }
                    let is_hostile = index.is_multiple_of(100);
                    let which = (index / 100) as usize;
                    let (at, bytes) = if is_hostile {
                        let at = which % hostile.len();
                        (sound.len() + at, &hostile[at])
                    } else {
                        let at = (index as usize + which) % sound.len();
                        (at, &sound[at])
                    };
                    if answer(classifier, bytes) != first[at] {
                        wrong.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for tenth in 1..=10 {
            while next.load(Ordering::Relaxed) < images * tenth / 10 {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            last = resident_bytes();
            settled = if tenth == 1 { last } else { settled };
            let rate = (images * tenth / 10) as f64 / start.elapsed().as_secs_f64();
            println!(
                "{:3} %: {} MB resident, {rate:.0} images/s",
                10 * tenth,
                last / 1_000_000
            );
        }
    });
    let wrong = wrong.load(Ordering::Relaxed);
    println!("{images} images from {threads} threads: {wrong} answers differ");
    let is_flat = last as f64 <= settled as f64 * 1.05;
    Ok(if wrong == 0 && is_flat {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The bits of the probabilities, or the error.
fn answer(classifier: &Classifier, bytes: &[u8]) -> String {
    match classifier.classify_bytes(bytes) {
        Ok(prediction) => format!(
            "{:?}",
            prediction
                .probabilities
                .iter()
                .map(|p| p.to_bits())
                .collect::<Vec<_>>()
        ),
        Err(error) => error.to_string(),
    }
}

/// JPEG and PNG files of several sizes.
fn sound_images() -> Vec<Vec<u8>> {
    let draw = |index: u32| {
        let (width, height) = (60 + 3 * index, 97 - 2 * index);
        let image = RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * index) as u8, (y * 3) as u8, (x + y + 31 * index) as u8])
        });
        let mut file = Cursor::new(Vec::new());
        let format = if index.is_multiple_of(4) {
            ImageFormat::Png
        } else {
            ImageFormat::Jpeg
        };
        DynamicImage::ImageRgb8(image)
            .write_to(&mut file, format)
            .unwrap();
        file.into_inner()
    };
    (0..32).map(draw).collect()
}

/// Files that are cut off, damaged, empty, of another format, or claim very many pixels.
fn hostile_images() -> Vec<Vec<u8>> {
    let sound = sound_images();
    let mut hostile = vec![
        Vec::new(),
        b"GIF89a".to_vec(),
        b"P6 60000 60000 255 ".to_vec(),
    ];
    for (index, bytes) in sound.into_iter().enumerate() {
        let middle = bytes.len() / 2;
        hostile.push(bytes[..middle].to_vec());
        let mut damaged = bytes;
        damaged[middle] ^= 0xff;
        damaged[index + 20] ^= 0xff;
        hostile.push(damaged);
    }
    hostile
}

/// Memory of this process that is in use; 0 where there is no `/proc`.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<u64> = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    4096 * pages.unwrap_or(0)
}
