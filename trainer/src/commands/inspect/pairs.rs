//! `trainer inspect --pair A B`: where two images differ for a verifier, and where they agree.

use std::path::PathBuf;

use console::Printer;
use console::numbers::short;
use data::card::ScoreKind;
use data::{DecodedImage, Limits};
use deploy::{ClassifierBuilder, Verifier};
use onnx::ModelFile;
use report::run_files::{InspectImage, InspectKind};

use super::plain_names;
use crate::error::{Error, Result};
use crate::inspect::attention::Heat;
use crate::inspect::occlusion::{Patch, pair_occlusion};
use crate::inspect::output_folder::OutputFolder;
use crate::inspect::overlay::pair_overlay;

/// Draws each pair, given by its two images one after the other.
pub(super) fn draw(
    file: &ModelFile,
    images: &[PathBuf],
    threads: usize,
    output: &mut OutputFolder,
    printer: &Printer,
) -> Result<()> {
    let verifier = Verifier::from_file(file, ClassifierBuilder::default().threads(threads))?;
    printer.log(format!("model `{}`", file.path().display()));
    let names = plain_names(images);
    for (paths, names) in images.chunks_exact(2).zip(names.chunks_exact(2)) {
        let pair = Pair::open(&verifier, paths)?;
        printer.log(pair.answer(&verifier)?);
        let heats = pair.heats(&verifier, printer)?;
        for (what, title, heats) in [
            (
                "differ",
                "where they differ: how far hiding it makes them more similar",
                heats.clone().map(|heat| heat.negated().positive()),
            ),
            (
                "agree",
                "where they agree: how far hiding it makes them less similar",
                heats.map(Heat::positive),
            ),
        ] {
            let peak = heats[0].peak().max(heats[1].peak());
            let Patch { size_px, stride_px } = pair.patch;
            let unit = match verifier.score_kind() {
                ScoreKind::Probability => "the logit",
                ScoreKind::Distance => "the distance",
            };
            let [a, b] = &pair.titles;
            let entry = InspectImage {
                title: format!(
                    "{a} and {b}, {title}, by a square of {size_px} pixels in the image's mean colour, every {stride_px} \
                     pixels; 0 to {} of {unit}",
                    short(peak)
                ),
                file: format!("{what}-{}-{}.png", names[0], names[1]),
                kind: InspectKind::Occlusion,
                node: None,
            };
            let photos = [&pair.images[0].rgb, &pair.images[1].rgb];
            output.add(entry, &pair_overlay(photos, [&heats[0], &heats[1]]))?;
        }
    }
    Ok(())
}

/// Two images as the network takes them.
struct Pair {
    images: [DecodedImage; 2],
    /// Their names.
    titles: [String; 2],
    patch: Patch,
}

impl Pair {
    fn open(verifier: &Verifier, paths: &[PathBuf]) -> Result<Self> {
        let preprocess = verifier.encoder().preprocess();
        let open = |path: &PathBuf| {
            let image = data::decode::open_as(path, preprocess.color(), &Limits::default())?;
            Ok::<_, Error>(preprocess.geometry(&image)?)
        };
        let images = [open(&paths[0])?, open(&paths[1])?];
        let title = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let (width, height) = images[0].rgb.dimensions();
        Ok(Self {
            images,
            titles: [title(&paths[0]), title(&paths[1])],
            patch: Patch::for_size(width, height),
        })
    }

    /// The verifier's answer in one line.
    fn answer(&self, verifier: &Verifier) -> Result<String> {
        let (encoder, [a, b]) = (verifier.encoder(), &self.titles);
        let features = |image: &DecodedImage| {
            let mut prepared = vec![0.0; encoder.preprocess().output_len()];
            encoder.preprocess().tensor_into(image, &mut prepared)?;
            Ok::<_, Error>(encoder.run(&prepared, 1)?)
        };
        let answer = verifier.compare(&features(&self.images[0])?, &features(&self.images[1])?)?;
        let same = data::pairs::CLASSES[usize::from(answer.same)];
        let (kind, score) = (verifier.score_kind().name(), answer.score);
        let threshold = verifier.threshold();
        Ok(format!(
            "`{a}` and `{b}`: {same}, {kind} {score:.4}, threshold {threshold:.4}"
        ))
    }

    /// How far the similarity falls under a square over each image.
    fn heats(&self, verifier: &Verifier, printer: &Printer) -> Result<[Heat; 2]> {
        let bar = printer.image_bar("hiding parts", 0);
        let heat = |side: usize| {
            let progress = |done: usize, all: usize| {
                bar.set_length(2 * all as u64);
                bar.set_position((side * all + done) as u64);
            };
            let (image, other) = (&self.images[side], &self.images[1 - side]);
            pair_occlusion(verifier, image, other, self.patch, &progress)
        };
        let heats = [heat(0), heat(1)];
        bar.finish_and_clear();
        let [a, b] = heats;
        Ok([a?, b?])
    }
}
