//! One page that needs no network: latencies, accuracy against throughput, every figure of the table.

use std::path::Path;

use super::svg::{Axis, Picture, Series, escape};
use super::table::digits;
use bench::{BenchResult, Findings};

const STYLE: &str = include_str!("bench.css");
/// Colours before they come again with another dash.
const COLORS: usize = 6;
const DASHES: usize = 3;

/// The page.
pub(crate) fn render(findings: &Findings) -> String {
    let machine = &findings.machine;
    let processor = machine
        .processor
        .as_deref()
        .unwrap_or("an unnamed processor");
    let mut body = format!(
        "<h1>Benchmark</h1><p class=\"soft\">{} on {} cores of {} ({}), ONNX Runtime {}, {}</p>",
        escape(&findings.tool),
        machine.cores,
        escape(processor),
        escape(&machine.system),
        escape(&findings.runtime),
        escape(&findings.date)
    );
    if findings.partial {
        body += "<p><strong>Interrupted: these figures are of fewer runs than were asked for.</strong></p>";
    }
    if let Some(recommendation) = &findings.recommendation {
        body += &paragraph(recommendation);
    }
    body += &pictures(findings);
    body += "<h2>Figures</h2>";
    body += &table(findings);
    if !findings.comparison.is_empty() {
        body += "<h2>Compared with the base</h2>";
        body.extend(findings.comparison.iter().map(|line| paragraph(line)));
    }
    if !findings.warnings.is_empty() {
        body += "<h2>To be wary of</h2>";
        body.extend(findings.warnings.iter().map(|line| paragraph(line)));
    }
    if !findings.skipped.is_empty() {
        body += "<h2>Left out</h2>";
        let lines = super::table::skipped(&findings.skipped);
        body.extend(lines.iter().map(|line| paragraph(line)));
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>Benchmark</title><style>{STYLE}</style>\
         </head><body>{body}</body></html>\n"
    )
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", escape(text))
}

/// Class of the n-th configuration.
fn class(at: usize) -> String {
    format!("c{} d{}", at % COLORS, at / COLORS % DASHES)
}

fn pictures(findings: &Findings) -> String {
    let mut text = "<div class=\"pictures\">".to_owned();
    let timed = findings
        .results
        .iter()
        .any(|result| !result.quantiles_ms.is_empty());
    if timed {
        text += &format!(
            "<section><h2>Latency</h2>{}</section>",
            latencies(&findings.results)
        );
    }
    if findings.results.iter().any(|result| result.top1.is_some()) {
        text += &format!(
            "<section><h2>Accuracy against throughput</h2>{}</section>",
            scatter(findings)
        );
    }
    text + "</div>" + &legend(&findings.results)
}

/// The share of runs that took at most so long, one line for each configuration.
fn latencies(results: &[BenchResult]) -> String {
    let all = results
        .iter()
        .flat_map(|result| result.quantiles_ms.iter().copied());
    let mut y = Axis::over("% of runs", false, [0.0, 100.0].into_iter());
    (y.low, y.high) = (0.0, 100.0);
    let mut picture = Picture::new(Axis::over("latency, ms", true, all), y);
    for (at, result) in results.iter().enumerate() {
        let points = result.quantiles_ms.iter().enumerate();
        picture.line(&Series {
            name: result.key.to_string(),
            class: class(at),
            points: points.map(|(percent, ms)| (*ms, percent as f64)).collect(),
        });
    }
    picture.finish("Share of runs by latency, one line for each configuration")
}

fn scatter(findings: &Findings) -> String {
    let results = &findings.results;
    let rates = results.iter().map(|result| result.images_per_second);
    let shares = results
        .iter()
        .filter_map(|result| result.top1)
        .map(|share| 100.0 * share);
    let mut picture = Picture::new(
        Axis::over("images/s", true, rates),
        Axis::over("top-1, %", false, shares),
    );
    for (at, result) in results.iter().enumerate() {
        let Some(top1) = result.top1 else { continue };
        let series = Series {
            name: format!(
                "{}: {:.1} %, {:.1} images/s",
                result.key,
                100.0 * top1,
                result.images_per_second
            ),
            class: class(at),
            points: vec![(result.images_per_second, 100.0 * top1)],
        };
        picture.dots(&series, findings.pareto.contains(&at));
    }
    picture.finish("Accuracy against throughput, one dot for each configuration")
}

fn legend(results: &[BenchResult]) -> String {
    let item = |(at, result): (usize, &BenchResult)| {
        let name = escape(&result.key.to_string());
        format!(
            "<li><svg viewBox=\"0 0 22 10\"><path class=\"line {}\" d=\"M0 5H22\"/></svg>{name}</li>",
            class(at)
        )
    };
    let items: String = results.iter().enumerate().map(item).collect();
    format!("<ul class=\"legend\">{items}</ul>")
}

fn table(findings: &Findings) -> String {
    let head = [
        "configuration",
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
        "top-1 %",
        "flips",
    ];
    let head: String = head.iter().map(|name| format!("<th>{name}</th>")).collect();
    let row = |(at, result): (usize, &BenchResult)| {
        let best = if findings.pareto.contains(&at) {
            " class=\"best\""
        } else {
            ""
        };
        let cells: String = cells(result)
            .iter()
            .map(|cell| format!("<td>{}</td>", escape(cell)))
            .collect();
        format!("<tr{best}>{cells}</tr>")
    };
    let rows: String = findings.results.iter().enumerate().map(row).collect();
    let note = if findings.pareto.is_empty() {
        ""
    } else {
        "<p class=\"soft\">Shaded and ringed: no other is faster, quicker and more accurate.</p>"
    };
    let models: Vec<_> = findings
        .results
        .iter()
        .map(|result| result.key.model.as_str())
        .collect();
    let mut names: Vec<&str> = models.clone();
    names.dedup();
    let folders = names.iter().filter(|name| {
        Path::new(name)
            .file_name()
            .is_some_and(|file| file != **name)
    });
    let folders: Vec<_> = folders.copied().collect();
    let files = if folders.is_empty() {
        String::new()
    } else {
        format!(
            "<p class=\"soft\">Files: {}</p>",
            escape(&folders.join(", "))
        )
    };
    format!("<div class=\"scroll\"><table><tr>{head}</tr>{rows}</table></div>{note}{files}")
}

fn cells(result: &BenchResult) -> Vec<String> {
    let number = |value: Option<f64>| value.map(digits).unwrap_or_default();
    let interval = result.interval_95.get("images_per_second");
    let latency = &result.latency_ms;
    let mut cells = vec![
        result.key.to_string(),
        digits(result.images_per_second),
        interval
            .map(|[low, high]| format!("{} to {}", digits(*low), digits(*high)))
            .unwrap_or_default(),
    ];
    cells.extend(
        [
            latency.mean,
            latency.p50,
            latency.p90,
            latency.p95,
            latency.p99,
            latency.p999,
            latency.max,
        ]
        .map(number),
    );
    cells.push(result.runs.to_string());
    cells.extend([result.cold_ms.session, result.cold_ms.first_run].map(digits));
    cells.push(
        result
            .top1
            .map(|share| format!("{:.2}", 100.0 * share))
            .unwrap_or_default(),
    );
    let flips = result
        .accuracy
        .as_ref()
        .map(|accuracy| accuracy.flips.len().to_string());
    cells.push(flips.unwrap_or_default());
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
        for foreign in ["http", "<script", "<link", "@import", "url(", "a<b>"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(page.contains("prefers-color-scheme: dark"));
        assert_eq!(
            page.matches("class=\"line c0 d0\"").count(),
            2,
            "a curve and its legend"
        );
        assert_eq!(page.matches("class=\"dot").count(), 2);
        assert_eq!(
            (
                page.matches("<circle class=\"ring\"").count(),
                page.matches("<tr class=\"best\"").count()
            ),
            (1, 1)
        );
        findings.results.clear();
        assert!(!render(&findings).contains("<circle"));
    }
}
