//! HTML page of a benchmark: latencies, accuracy against throughput, every figure of the table. Needs no network.

use std::path::Path;

use bench::system::SystemInfo;
use bench::{BenchResult, Findings};
use console::chart::{self, Axis, Legend, Mark, Plot, Scaling};
use console::page::{self, Page};
use maud::{Markup, html};

use super::table::{digits, optional_digits, skipped, throughput_interval};

/// The page.
pub(crate) fn render(findings: &Findings) -> String {
    let body = html! {
        (head(findings))
        (charts(findings))
        (page::section("figures", "Figures", "", &figures(findings)))
        (paragraphs("comparison", "Compared with the base", &findings.comparison))
        (paragraphs("warnings", "Warnings", &findings.warnings))
        (paragraphs("skipped", "Left out", &skipped(&findings.skipped)))
    };
    let page = Page {
        title: "Benchmark",
        tool: &findings.tool,
        style: "",
        body,
    };
    page.html()
}

/// Heading: machine, versions, recommendation.
fn head(findings: &Findings) -> Markup {
    let Findings {
        tool,
        machine,
        runtime,
        date,
        ..
    } = findings;
    html! {
        header.top {
            h1 { "Benchmark" }
            p { (origin(tool, machine, runtime, date)) }
        }
        @if findings.partial {
            p.verdict {
                strong {
                    "Interrupted: these figures are of fewer runs than were asked for."
                }
            }
        }
        @if let Some(recommendation) = &findings.recommendation {
            p.verdict { (recommendation) }
        }
    }
}

/// What measured, where and when.
pub(crate) fn origin(tool: &str, machine: &SystemInfo, runtime: &str, date: &str) -> String {
    let processor = machine.processor.as_deref();
    format!(
        "{tool} on {} cores of {} ({}), ONNX Runtime {runtime}, {date}",
        machine.cores,
        processor.unwrap_or("an unnamed processor"),
        machine.system
    )
}

/// A section of lines; nothing without any.
pub(crate) fn paragraphs(id: &str, title: &str, lines: &[String]) -> Markup {
    if lines.is_empty() {
        return html! {};
    }
    page::section(
        id,
        title,
        "",
        &html! { @for line in lines { p { (line) } } },
    )
}

fn charts(findings: &Findings) -> Markup {
    let results = &findings.results;
    let is_timed = results.iter().any(|result| !result.quantiles_ms.is_empty());
    let is_scored = results.iter().any(|result| result.top1.is_some());
    if !is_timed && !is_scored {
        return html! {};
    }
    let names: Vec<String> = results.iter().enumerate().map(numbered).collect();
    html! {
        section.hero {
            div.grid {
                @if is_timed {
                    (page::figure(&latencies(results).into(), "Latency", ""))
                }
                @if is_scored {
                    (page::figure(&scatter(findings).into(), "Accuracy against throughput", ""))
                }
            }
            (chart::legend(&names))
        }
    }
}

/// Name of a configuration with its number, which stands at its dot.
fn numbered((index, result): (usize, &BenchResult)) -> String {
    format!("{} {}", index + 1, result.key)
}

/// Cumulative distribution of the latency, one curve for each configuration.
fn latencies(results: &[BenchResult]) -> Plot {
    let all = results
        .iter()
        .flat_map(|result| result.quantiles_ms.iter().copied());
    let curve = |(series, result): (usize, &BenchResult)| {
        let points = result.quantiles_ms.iter().enumerate();
        Mark::Curve {
            name: result.key.to_string(),
            series,
            is_dashed: false,
            points: points.map(|(percent, ms)| [*ms, percent as f64]).collect(),
        }
    };
    Plot {
        title: "Share of runs by latency, one line for each configuration".to_owned(),
        x: Axis::new("latency (ms)").scaled(Scaling::Log).around(all),
        y: Axis::new("runs (%)").over(0.0, 100.0),
        marks: results.iter().enumerate().map(curve).collect(),
        legend: Legend::Elsewhere,
        ..Plot::default()
    }
}

/// One dot for each configuration that was scored.
fn scatter(findings: &Findings) -> Plot {
    let scored = || {
        let results = findings.results.iter().enumerate();
        results.filter_map(|(index, result)| Some((index, result, 100.0 * result.top1?)))
    };
    let rates = scored().map(|(_, result, _)| result.images_per_second);
    let dot = |(series, result, top1): (usize, &BenchResult, f64)| Mark::Dots {
        name: format!(
            "{}: {top1:.1} %, {:.1} images/s",
            result.key, result.images_per_second
        ),
        label: (series + 1).to_string(),
        series,
        points: vec![[result.images_per_second, top1]],
        is_ringed: findings.pareto.contains(&series),
    };
    Plot {
        title: "Accuracy against throughput, one dot for each configuration".to_owned(),
        x: Axis::new("images/s").scaled(Scaling::Log).around(rates),
        y: Axis::new("top-1 (%)").around(scored().map(|(_, _, top1)| top1)),
        marks: scored().map(dot).collect(),
        legend: Legend::Elsewhere,
        ..Plot::default()
    }
}

fn figures(findings: &Findings) -> Markup {
    // Accuracy first: a wide table is cut on the right.
    let header = [
        "configuration",
        "top-1 %",
        "flips",
        "ROC area",
        "equal error %",
        "right %",
        "images/s",
        "95 %",
        "mean ms",
        "p50",
        "p90",
        "p95",
        "p99",
        "p99.9",
        "max",
        "runs",
        "session ms",
        "first run ms",
    ];
    let rows: Vec<Vec<String>> = findings.results.iter().enumerate().map(cells).collect();
    // A column without a single value says nothing.
    let is_empty = |column: usize| rows.iter().all(|row| row[column].is_empty());
    let kept: Vec<usize> = (0..header.len())
        .filter(|column| !is_empty(*column))
        .collect();
    let header: Vec<&str> = kept.iter().map(|column| header[*column]).collect();
    let keep = |row: &Vec<String>| kept.iter().map(|column| row[*column].clone()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(keep).collect();
    let folders = folders(&findings.results);
    html! {
        (page::marked_table(&header, &rows, &findings.pareto))
        @if !findings.pareto.is_empty() {
            p.small { "Shaded and ringed: nothing is at least as good in throughput, latency and accuracy." }
        }
        @if !folders.is_empty() {
            p.small { "Files: " (folders.join(", ")) }
        }
    }
}

/// Paths of the models, whose names in the table are shortened.
fn folders(results: &[BenchResult]) -> Vec<&str> {
    let mut names: Vec<&str> = results.iter().map(|r| r.key.model.as_str()).collect();
    // Configurations of one model follow each other.
    names.dedup();
    names.retain(|name| {
        Path::new(name)
            .file_name()
            .is_some_and(|file| file != *name)
    });
    names
}

fn cells((index, result): (usize, &BenchResult)) -> Vec<String> {
    let top1 = result.top1.map(|share| format!("{:.2}", 100.0 * share));
    let flips = result
        .accuracy
        .as_ref()
        .map(|accuracy| accuracy.flips.len().to_string());
    let scores = result.verification.as_ref().map(|found| &found.scores);
    let percent = |share: f64| format!("{:.2}", 100.0 * share);
    let mut cells = vec![
        numbered((index, result)),
        top1.unwrap_or_default(),
        flips.unwrap_or_default(),
        scores
            .map(|scores| format!("{:.4}", scores.auc))
            .unwrap_or_default(),
        scores
            .map(|scores| percent(scores.equal_error_rate))
            .unwrap_or_default(),
        scores
            .map(|scores| percent(scores.accuracy))
            .unwrap_or_default(),
        digits(result.images_per_second),
        throughput_interval(result),
    ];
    cells.extend(result.latency_ms.values().map(optional_digits));
    cells.push(result.runs.to_string());
    cells.extend([result.cold_ms.session, result.cold_ms.first_run].map(digits));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench::example::{findings, result};

    #[test]
    fn the_page_needs_no_network_and_holds_every_configuration() {
        let mut named = result("cpu", 10.0, 100.0);
        named.key.model = "a<b>.onnx".to_owned();
        let mut findings = findings(vec![named, result("cuda:0", 900.0, 1.1)]);
        findings.pareto = vec![1];
        let page = render(&findings);
        for foreign in ["://", "<script", "<link", "@import", "url(", "a<b>"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(page.contains("prefers-color-scheme: dark"));
        let curves = |series: &str| page.matches(&format!("stroke=\"var({series})\"")).count();
        assert_eq!(
            (curves("--s1"), curves("--s2")),
            (2, 2),
            "a curve and its legend"
        );
        let dots = |series: &str| page.matches(&format!("fill=\"var({series})\"")).count();
        assert_eq!((dots("--s1"), dots("--s2")), (2, 2), "a dot and its legend");
        assert_eq!(
            (
                page.matches("r=\"9\"").count(),
                page.matches("<tr class=\"marked\"").count()
            ),
            (1, 1)
        );
        // Dots are told apart by the numbers of the table, whose first figures are the accuracy.
        assert!(
            page.contains(">2</text>") && page.contains("2 runs/1/model.onnx")
                || page.contains("2 1/model.onnx"),
            "{page}"
        );
        assert!(page.contains("configuration</th><th scope=\"col\">top-1 %"));
        assert!(!page.contains("p99.9"), "an empty column");
        // Both charts tell what is pointed at.
        assert!(page.contains("<title>a&lt;b&gt;.onnx cpu fp32 batch 1</title>"));
        assert!(page.contains("batch 1: 95.0 %, 900.0 images/s</title>"));
        findings.results.clear();
        assert!(!render(&findings).contains("<circle"));
    }

    #[test]
    fn what_was_said_stands_on_the_page() {
        let mut findings = findings(vec![result("cpu", 10.0, 100.0)]);
        assert!(!render(&findings).contains("Warnings"));
        findings.partial = true;
        findings.recommendation = Some("recommended: cpu & more".to_owned());
        findings.comparison = vec!["ok     p50>+5%".to_owned()];
        findings.warnings = vec!["the machine was busy".to_owned()];
        findings.skipped = vec![bench::Skipped {
            configuration: "m cpu tf32".to_owned(),
            reason: "no such thing".to_owned(),
        }];
        let page = render(&findings);
        for text in [
            "deploy 0.1.0 on 2 cores of A Processor (linux x86_64), ONNX Runtime 1.28.0, 2026-",
            "Interrupted: these figures are of fewer runs",
            "recommended: cpu &amp; more",
            "Compared with the base</h2><p>ok     p50&gt;+5%",
            "Warnings</h2><p>the machine was busy",
            "Left out</h2><p>m cpu tf32: no such thing",
            "Files: runs/1/model.onnx",
        ] {
            assert!(page.contains(text), "{text}\n{page}");
        }
    }
}
