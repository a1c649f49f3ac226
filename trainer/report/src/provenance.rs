//! Section "Where it comes from": verification, command, configuration and provenance of the card.

use console::{numbers, page};
use maud::{Markup, html};

use crate::run_contents::RunContents;
use crate::run_files::Agreement;

pub(crate) fn section(run: &RunContents) -> Markup {
    let body = html! {
        @if let Some(agreement) = &run.agreement { (verification(agreement)) }
        @if let Some(command) = &run.command {
            h3 { "Command" }
            pre { (command.trim_end()) }
        }
        h3 { "Configuration" }
        p.small { "The whole of it, " code { "config.toml" } " of the run." }
        pre { (run.config.trim_end()) }
        @if let Some(card) = &run.card { (provenance(card)) }
        @for note in &run.unreadable { p.small { span.bad { "Left out: " } (note) } }
    };
    page::section("origin", "Where it comes from", "", &body)
}

fn verification(agreement: &Agreement) -> Markup {
    let batches: Vec<String> = agreement.batches.iter().map(usize::to_string).collect();
    let (examples, outputs) = agreement.compared();
    html! {
        h3 { "Export" }
        p {
            @if agreement.verified {
                span.good { "Verified. " } "ONNX Runtime and the trained network agree on "
            } @else {
                span.bad { "Not verified. " } "ONNX Runtime and the trained network disagree "
                (agreement.disagreements.len()) " times on "
            }
            (agreement.images) " real " (examples) " at batch " (batches.join(", "))
            ": their " (outputs) " differ by at most " (format!("{:.1e}", agreement.max_difference)) " of "
            (format!("{:.1e}", agreement.tolerance)) " allowed."
        }
    }
}

fn provenance(card: &data::Card) -> Markup {
    let provenance = &card.provenance;
    let program = format!("{} {}", provenance.tool, provenance.version);
    let mut facts = vec![
        ("program", program),
        ("date", numbers::date(&provenance.date)),
        ("seed", provenance.seed.to_string()),
        (
            "data (SHA-256)",
            abbreviated(&provenance.dataset_fingerprint),
        ),
    ];
    if let Some(sha256) = &provenance.backbone_sha256 {
        facts.push(("backbone (SHA-256)", abbreviated(sha256)));
    }
    let features = provenance.features.as_ref().map(ToString::to_string);
    let optional = [
        ("backbone from", &provenance.backbone_source),
        ("licence of the backbone", &provenance.backbone_licence),
        ("features", &features),
        ("preprocessing by", &provenance.preprocess_source),
    ];
    for (name, text) in optional {
        facts.extend(text.clone().map(|text| (name, text)));
    }
    if let Some(git) = &provenance.git {
        facts.push(("sources", git.clone()));
    }
    page::facts(&facts)
}

/// Enough of a hash to compare by eye.
fn abbreviated(hash: &str) -> String {
    // 64 of 256 bits.
    hash.chars().take(16).collect()
}
