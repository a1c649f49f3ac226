//! Section "How much is luck?": cross-validation, other seeds, and suspected labels.

use console::numbers::{self, percent, percents};
use console::page;
use maud::{Markup, html};

use crate::run_contents::RunContents;
use crate::run_files::Folds;
use crate::run_files::{Seeds, UnstableImage};
use crate::thumbnails::{CaptionedImage, Thumbnails};

/// Images in each gallery.
const MOST: usize = 12;

/// None where the run has no folds, seeds and suspects.
pub(crate) fn section(run: &RunContents, thumbnails: &Thumbnails) -> Option<Markup> {
    let (folds, seeds, suspects) = (&run.folds, &run.seeds, &run.suspects);
    if folds.is_none() && seeds.is_none() && suspects.is_empty() {
        return None;
    }
    // `suspects.csv` is sorted: the most confident contradictions come first.
    let unsure: Vec<CaptionedImage> = suspects
        .iter()
        .take(MOST)
        .map(|suspect| CaptionedImage {
            path: suspect.path.clone(),
            caption: format!(
                "labelled {}, looks like {}, {}",
                suspect.label,
                suspect.predicted,
                numbers::probability(suspect.probability)
            ),
        })
        .collect();
    let body = html! {
        div.grid {
            @if let Some(folds) = folds { div { (cross_validation(folds)) } }
            @if let Some(seeds) = seeds { div { (seed_scores(seeds)) } }
        }
        @if let Some(seeds) = seeds.as_ref().filter(|seeds| !seeds.unstable.is_empty()) {
            h3 { "The answer depends on the seed: " (seeds.unstable.len()) " of " (seeds.count) }
            (thumbnails.gallery(&unstable(seeds)))
        }
        @if !unsure.is_empty() {
            h3 { "Suspected labels: " (unsure.len()) " of " (suspects.len()) }
            p.small {
                "Networks that did not train on these images contradict their labels. The whole list \
                is " code { "suspects.csv" } "."
            }
            (thumbnails.gallery(&unsure))
        }
    };
    let lead = "What stays when the split or the seed is another one.";
    Some(page::section("stability", "How much is luck?", lead, &body))
}

fn cross_validation(folds: &Folds) -> Markup {
    let rows: Vec<Vec<String>> = folds
        .per_fold
        .iter()
        .map(|fold| {
            vec![
                format!("fold {}", fold.fold),
                percent(fold.accuracy, 1),
                format!("{:.3}", fold.loss),
                fold.count.to_string(),
            ]
        })
        .collect();
    let [low, high] = folds.loss.interval;
    html! {
        h3 { "Cross-validation, " (folds.folds) " folds of " (folds.count) " images" }
        p {
            "Accuracy " strong { (percent(folds.accuracy.mean, 1)) } " ("
            (percents(folds.accuracy.interval)) "), log loss " (format!("{:.3}", folds.loss.mean))
            " (" (format!("{low:.3} to {high:.3}")) ")."
        }
        (page::table(&["", "accuracy", "log loss", "images"], &rows))
    }
}

fn seed_scores(seeds: &Seeds) -> Markup {
    let rows: Vec<Vec<String>> = seeds
        .seeds
        .iter()
        .map(|seed| {
            let (name, loss) = (format!("seed {}", seed.seed), format!("{:.3}", seed.loss));
            vec![name, percent(seed.accuracy, 1), loss]
        })
        .collect();
    let (accuracy, loss) = (&seeds.accuracy, &seeds.loss);
    html! {
        h3 { (seeds.seeds.len()) " seeds, " (seeds.count) " " (seeds.split) " images" }
        p {
            "Accuracy " strong { (percent(accuracy.mean, 1)) } " on average, "
            (percents([accuracy.min, accuracy.max])) "; log loss " (format!("{:.3}", loss.mean)) ", "
            (format!("{:.3} to {:.3}", loss.min, loss.max)) "."
        }
        (page::table(&["", "accuracy", "log loss"], &rows))
    }
}

fn unstable(seeds: &Seeds) -> Vec<CaptionedImage> {
    let card = |image: &UnstableImage| {
        let answers: Vec<String> = image
            .answers
            .iter()
            .map(|(class, count)| format!("{count} × {class}"))
            .collect();
        CaptionedImage {
            path: image.path.clone(),
            caption: format!("{}: {}", image.label, answers.join(", ")),
        }
    };
    seeds.unstable.iter().take(MOST).map(card).collect()
}
