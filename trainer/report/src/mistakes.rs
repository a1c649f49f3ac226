//! Section "Where it fails": the most confident mistakes and the least confident right answers.

use console::{numbers, page};
use maud::{Markup, html};

use crate::predictions::{Answer, Answers};
use crate::run_contents::RunContents;
use crate::thumbnails::{CaptionedImage, Thumbnails};

/// Images in each gallery: two rows on a wide page.
const MOST: usize = 12;

/// None without predictions.
pub(crate) fn section(run: &RunContents, thumbnails: &Thumbnails) -> Option<Markup> {
    let answers = run.answers.as_ref()?;
    // Mistakes by falling confidence, right answers by rising confidence.
    let wrong = sorted(answers, |answer| !answer.is_right(), true);
    let unsure = sorted(answers, Answer::is_right, false);
    let name = |class: usize| answers.classes.get(class).map_or("", String::as_str);
    let mistakes: Vec<CaptionedImage> = wrong
        .iter()
        .take(MOST)
        .map(|(probability, answer)| CaptionedImage {
            path: answer.path.clone(),
            caption: format!(
                "{} predicted as {}, {}",
                name(answer.label),
                name(answer.predicted),
                numbers::probability(*probability)
            ),
        })
        .collect();
    let hits: Vec<CaptionedImage> = unsure
        .iter()
        .take(MOST)
        .map(|(probability, answer)| CaptionedImage {
            path: answer.path.clone(),
            caption: format!(
                "{}, {}",
                name(answer.label),
                numbers::probability(*probability)
            ),
        })
        .collect();
    let body = html! {
        @if mistakes.is_empty() {
            p { "Every answer on the " (answers.split) " images is right." }
        } @else {
            h3 { (heading("Most confident mistakes", mistakes.len(), wrong.len())) }
            (thumbnails.gallery(&mistakes))
        }
        @if !hits.is_empty() {
            h3 { (heading("Least confident hits", hits.len(), unsure.len())) }
            (thumbnails.gallery(&hits))
        }
    };
    let lead = "True class, answer and its probability. A mistake made with confidence is often a \
                wrong label or a kind of image that training lacked.";
    Some(page::section("mistakes", "Where it fails", lead, &body))
}

fn heading(what: &str, shown: usize, all: usize) -> String {
    format!("{what}: {shown} of {all}")
}

/// The answers of a kind with their probabilities, in the order of these.
fn sorted(
    answers: &Answers,
    which: impl Fn(&Answer) -> bool,
    is_falling: bool,
) -> Vec<(f64, &Answer)> {
    let chosen = answers.rows.iter().filter(|row| which(row));
    let mut chosen: Vec<(f64, &Answer)> = chosen.map(|row| (row.probability(), row)).collect();
    chosen.sort_by(|a, b| {
        let order = a.0.total_cmp(&b.0);
        if is_falling { order.reverse() } else { order }
    });
    chosen
}
