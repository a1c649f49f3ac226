//! HTML page of tuning: accuracy against time with the frontier marked, every figure, the recommendation.

use bench::accuracy::Accuracy;
use bench::tune::{Tried, Tuning};
use console::chart::{self, Axis, Legend, Mark, Plot, Scaling};
use console::page::{self, Page};
use maud::{Markup, html};

use super::text::{self, Usage};
use super::unit;
use crate::export::html::{origin, paragraphs};
use crate::export::table::skipped;

/// The page.
pub(super) fn render(tuning: &Tuning, usage: &Option<Usage>) -> String {
    let page = Page {
        title: "Tuning",
        tool: &tuning.tool,
        style: "",
        body: html! {
            (head(tuning))
            @if !tuning.frontier.is_empty() {
                section.hero {
                    (page::figure(&scatter(tuning).into(), "Accuracy against time", CAPTION))
                    (chart::legend(&variants(tuning)))
                }
            }
            (page::section("use", "Use it", "", &commands(usage)))
            (page::section("settings", "Settings", "", &figures(tuning)))
            (paragraphs("race", "Left the race", &text::dropped(tuning)))
            (paragraphs("skipped", "Left out", &skipped(&tuning.skipped)))
            (paragraphs("warnings", "Warnings", &tuning.warnings))
        },
    };
    page.html()
}

const CAPTION: &str = "One dot for each setting, one colour for each provider and precision. The fastest of each colour, \
     the default and the recommended one have their numbers in the table. Lines: the 95 % interval of the accuracy on the \
     test images. Ringed: nothing is faster and at least as accurate.";

fn head(tuning: &Tuning) -> Markup {
    let Tuning {
        tool,
        machine,
        runtime,
        date,
        ..
    } = tuning;
    html! {
        header.top {
            h1 { "Tuning of " (tuning.model) }
            p { (origin(tool, machine, runtime, date)) (format!(", {:.0} s", tuning.seconds)) }
        }
        p.verdict { (tuning.reason) }
    }
}

fn commands(usage: &Option<Usage>) -> Markup {
    html! {
        @match usage {
            Some(usage) => {
                pre { code { (usage.commands.join("\n")) } }
                pre { code { (usage.rust.join("\n")) } }
            }
            None => p { "Nothing keeps within the limits." },
        }
    }
}

fn figures(tuning: &Tuning) -> Markup {
    let rows: Vec<Vec<String>> = tuning.tried.iter().enumerate().map(text::cells).collect();
    let recommended: Vec<usize> = tuning.recommended.into_iter().collect();
    html! {
        (page::marked_table(&text::header(tuning), &rows, &recommended))
        p.small {
            "Shaded: recommended. 1 is the default. "
            @if tuning.validation_images > 0 {
                "Chosen by " (tuning.validation_images) " validation images, reported on " (tuning.test_images)
                " test images; flips are answers that differ from the file as it is on the cpu."
            }
        }
    }
}

/// The settings that were scored on the images that are reported, with their indices.
fn scored(tuning: &Tuning) -> impl Iterator<Item = (usize, &Tried, &Accuracy)> {
    let has_test = tuning.test_images > 0;
    let tried = tuning.tried.iter().enumerate();
    let tried = tried.filter(move |(_, tried)| tried.test.is_some() == has_test);
    tried.filter_map(|(index, tried)| Some((index, tried, tried.accuracy()?)))
}

/// Provider and precision.
fn variant(tried: &Tried) -> String {
    format!("{} {}", tried.setting.provider, tried.setting.precision)
}

/// Provider and precision of the settings that were scored, each once: the colours of the dots.
fn variants(tuning: &Tuning) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, tried, _) in scored(tuning) {
        let name = variant(tried);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A dot with its interval for each setting that was scored.
fn scatter(tuning: &Tuning) -> Plot {
    let names = variants(tuning);
    let series = |tried: &Tried| {
        let name = variant(tried);
        names.iter().position(|known| *known == name).unwrap_or(0)
    };
    let scored = || scored(tuning);
    let mut marks: Vec<Mark> = Vec::new();
    // Settings of one provider and precision have the same answers: one interval is enough for them.
    let is_fastest = |index: usize| {
        let name = variant(&tuning.tried[index]);
        let same = scored().filter(|(_, tried, _)| variant(tried) == name);
        let fastest = same.min_by(|a, b| a.1.ms.total_cmp(&b.1.ms));
        fastest.is_some_and(|(fastest, ..)| fastest == index)
    };
    let is_numbered = |index: usize| {
        is_fastest(index) || [Some(tuning.default), tuning.recommended].contains(&Some(index))
    };
    for (_, tried, accuracy) in scored().filter(|(index, ..)| is_fastest(*index)) {
        let percent = 100.0 * accuracy.share();
        marks.push(Mark::Points {
            name: tried.setting.to_string(),
            series: series(tried),
            points: vec![(
                [tried.ms, percent],
                accuracy.interval.map(|share| 100.0 * share),
            )],
        });
    }
    for (index, tried, accuracy) in scored() {
        let percent = 100.0 * accuracy.share();
        marks.push(Mark::Dots {
            name: format!(
                "{}: {percent:.1} %, {:.2} {}",
                tried.setting,
                tried.ms,
                unit(tuning.goal)
            ),
            label: match is_numbered(index) {
                true => (index + 1).to_string(),
                false => String::new(),
            },
            series: series(tried),
            points: vec![[tried.ms, percent]],
            is_ringed: tuning.frontier.contains(&index),
        });
    }
    let bounds = scored().flat_map(|(.., accuracy)| accuracy.interval);
    Plot {
        title: "Accuracy against time, one dot for each setting".to_owned(),
        x: Axis::new(unit(tuning.goal))
            .scaled(Scaling::Log)
            .around(scored().map(|(_, tried, _)| tried.ms)),
        y: Axis::new("test images right (%)").around(bounds.map(|share| 100.0 * share)),
        marks,
        legend: Legend::Elsewhere,
        ..Plot::default()
    }
}
