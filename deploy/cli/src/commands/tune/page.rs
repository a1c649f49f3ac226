//! HTML page of tuning: accuracy against time with the frontier marked, every figure, the recommendation.

use bench::tune::{Tried, Tuning};
use console::chart::{Axis, Legend, Mark, Plot, Scaling};
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
                section.hero { (page::figure(&scatter(tuning).into(), "Accuracy against time", CAPTION)) }
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

const CAPTION: &str = "One dot for each setting, by its number in the table, with the 95 % interval of its accuracy on \
     the test images. Ringed: nothing is faster and at least as accurate.";

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

/// A dot with its interval for each setting that was scored.
fn scatter(tuning: &Tuning) -> Plot {
    let scored = || {
        let has_test = tuning.test_images > 0;
        let tried = tuning.tried.iter().enumerate();
        let tried = tried.filter(move |(_, tried)| tried.test.is_some() == has_test);
        tried.filter_map(|(index, tried)| Some((index, tried, tried.accuracy()?)))
    };
    let series = |index: usize, tried: &Tried| {
        let same = |other: &Tried| {
            let [a, b] = [&other.setting, &tried.setting];
            (a.provider, a.precision) == (b.provider, b.precision)
        };
        tuning.tried.iter().position(same).unwrap_or(index)
    };
    let mut marks: Vec<Mark> = Vec::new();
    for (index, tried, accuracy) in scored() {
        let percent = 100.0 * accuracy.share();
        marks.push(Mark::Points {
            name: tried.setting.to_string(),
            series: series(index, tried),
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
            label: (index + 1).to_string(),
            series: series(index, tried),
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
