//! Audit of a data set as text for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use console::table::{Column, Table};
use data::PairCounts;
use data::audit::{Audit, Bin, Depth, Finding, Kind, Range, Severity};

/// Files listed per finding; JSON has all.
const LISTED: usize = 5;
/// Findings listed per kind.
const LISTED_PER_KIND: usize = 10;
/// Characters of the longest bar of a histogram.
const BAR: usize = 40;

/// Counts, sizes, then the findings kind by kind, the worst first.
pub fn audit_text(audit: &Audit) -> String {
    // Writing to a string cannot fail.
    let counts = match audit.pairs.is_empty() {
        true => counts(audit),
        false => pair_counts(audit),
    };
    let mut text = format!("{counts}\n");
    if let (Some(width), Some(height)) = (audit.width, audit.height) {
        let range = |Range { min, median, max }| format!("{min} to {max} px, median {median}");
        writeln!(text, "\nwidth {}; height {}", range(width), range(height)).unwrap_or_default();
    }
    histogram("width / height", 2, &audit.aspect, &mut text);
    histogram("megapixels", 3, &audit.megapixels, &mut text);
    for group in audit
        .findings
        .chunk_by(|a, b| (a.kind, a.severity) == (b.kind, b.severity))
    {
        let (kind, severity) = (group[0].kind.name(), group[0].severity.name());
        let legend = match group[0].similarities.is_empty() {
            true => "",
            false => ", with the similarity to the first of each group",
        };
        writeln!(text, "\n{severity}: {kind}{legend}").unwrap_or_default();
        for finding in group.iter().take(LISTED_PER_KIND) {
            add_finding(finding, &mut text);
        }
        add_rest(group.len(), LISTED_PER_KIND, "  ", &mut text);
    }
    writeln!(text, "\n{}", totals(audit)).unwrap_or_default();
    text.trim_end().to_owned()
}

/// One line for the log of `fit`, and a warning where the same image is in two splits. Training names
/// what it refuses itself.
pub fn audit_line(audit: &Audit) -> (String, Option<String>) {
    let kinds = audit
        .findings
        .chunk_by(|a, b| (a.kind, a.severity) == (b.kind, b.severity));
    let notable = kinds.filter(|group| group[0].severity > Severity::Note);
    let named: Vec<String> = notable
        .map(|group| group[0].kind.name().to_owned())
        .collect();
    let mut line = format!("audit: {}", totals(audit));
    if !named.is_empty() {
        write!(line, " ({})", named.join(", ")).unwrap_or_default();
    }
    if audit.depth == Depth::Files {
        let command = command(audit);
        write!(line, "; `{command}` looks at pixels too").unwrap_or_default();
    }
    let leaks: Vec<&Finding> = audit
        .findings
        .iter()
        .filter(|f| f.kind == Kind::Leak)
        .collect();
    let warning = leaks.first().map(|first| {
        let paths: Vec<String> = first.paths.iter().map(|path| format!("`{path}`")).collect();
        let more = match leaks.len() - 1 {
            0 => String::new(),
            1 => ", and one more image".into(),
            count => format!(", and {count} more images"),
        };
        format!(
            "{}: {}{more}; scores will be too good",
            first.message,
            paths.join(", ")
        )
    });
    (line, warning)
}

/// The command that audits pixels, too.
pub(crate) fn command(audit: &Audit) -> &'static str {
    match audit.pairs.is_empty() {
        true => "trainer audit",
        false => "trainer audit --task pairs",
    }
}

fn totals(audit: &Audit) -> String {
    let count = |severity: Severity| {
        let count = audit.count(severity);
        let end = if count == 1 { "" } else { "s" };
        format!("{count} {}{end}", severity.name())
    };
    [Severity::Error, Severity::Warning, Severity::Note]
        .map(count)
        .join(", ")
}

/// A row per class, a column per split.
fn counts(audit: &Audit) -> Table {
    let mut table = Table::new([Column::LEFT, Column::RIGHT.at_least(6)]);
    let row = |name: &str, cells: Vec<String>| [vec![name.to_owned()], cells].concat();
    let splits = audit.counts.keys().map(ToString::to_string);
    table.row(row("class", splits.collect()));
    let classes = audit.counts.values().next();
    for class in classes.into_iter().flat_map(|classes| classes.keys()) {
        let in_split =
            |counts: &BTreeMap<String, usize>| counts.get(class).unwrap_or(&0).to_string();
        table.row(row(class, audit.counts.values().map(in_split).collect()));
    }
    let sum = |counts: &BTreeMap<String, usize>| counts.values().sum::<usize>().to_string();
    table.row(row("all", audit.counts.values().map(sum).collect()));
    table
}

/// A row per split: there may be thousands of identities.
fn pair_counts(audit: &Audit) -> Table {
    let number = Column::RIGHT.at_least(6);
    let mut table = Table::new([Column::LEFT, number]);
    let header = [
        "split",
        "identities",
        "images",
        "same",
        "forged",
        "different",
    ];
    table.row(header.map(str::to_owned).to_vec());
    let mut row = |name: &str, counts: &PairCounts| {
        let PairCounts {
            identities,
            images,
            same,
            forged,
            different,
        } = *counts;
        let numbers = [identities, images, same, forged, different].map(|n| n.to_string());
        table.row([vec![name.to_owned()], numbers.to_vec()].concat());
    };
    let mut all = PairCounts::default();
    for (split, counts) in &audit.pairs {
        row(split.name(), counts);
        all.identities += counts.identities;
        all.images += counts.images;
        all.same += counts.same;
        all.forged += counts.forged;
        all.different += counts.different;
    }
    row("all", &all);
    table
}

fn histogram(what: &str, decimals: usize, bins: &[Bin], text: &mut String) {
    let Some(most) = bins.iter().map(|bin| bin.count).max() else {
        return;
    };
    writeln!(text, "\n{what}").unwrap_or_default();
    for Bin { from, to, count } in bins {
        // Rounded up, so that every bin with an image has a bar.
        let bar = "#".repeat((count * BAR).div_ceil(most));
        let line = format!("  {from:>7.decimals$} to {to:>7.decimals$} {count:>7}  {bar}");
        writeln!(text, "{}", line.trim_end()).unwrap_or_default();
    }
}

fn add_finding(finding: &Finding, text: &mut String) {
    writeln!(text, "  {}", finding.message).unwrap_or_default();
    for (index, path) in finding.paths.iter().take(LISTED).enumerate() {
        let similarity = match finding.similarities.get(index) {
            Some(similarity) if index > 0 => format!("  {similarity:.2}"),
            _ => String::new(),
        };
        writeln!(text, "    {path}{similarity}").unwrap_or_default();
    }
    add_rest(finding.paths.len(), LISTED, "    ", text);
}

fn add_rest(count: usize, listed: usize, indent: &str, text: &mut String) {
    if count > listed {
        writeln!(text, "{indent}and {} more", count - listed).unwrap_or_default();
    }
}
