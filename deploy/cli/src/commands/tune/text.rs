//! Text report of tuning: the table, the recommendation, and how to use it. Measures nothing.

use bench::tune::{Tried, Tuning};
use console::table::{Column, Table};
use deploy::tuned::Setting;
use deploy::{Precision, Provider};

use super::{own_precision, unit};
use crate::cli::TuneArgs;
use crate::export::table::{digits, skipped};

/// Flipped files shown; the JSON file has them all.
const SHOWN: usize = 5;

/// How the recommended setting is used: commands, and lines of Rust.
pub(super) struct Usage {
    pub(super) commands: Vec<String>,
    pub(super) rust: [String; 3],
}

/// The whole report.
pub(super) fn report(tuning: &Tuning, usage: &Option<Usage>) -> String {
    let mut parts = vec![table(tuning), notes(tuning)];
    parts.retain(|part| !part.is_empty());
    let left_out = skipped(&tuning.skipped);
    if !left_out.is_empty() {
        let lines: Vec<String> = left_out
            .iter()
            .map(|line| format!("left out {line}"))
            .collect();
        parts.push(lines.join("\n"));
    }
    parts.push(tuning.reason.clone());
    if let Some(flips) = tuning
        .recommended
        .and_then(|index| flips(&tuning.tried[index]))
    {
        parts.push(flips);
    }
    if let Some(usage) = usage {
        parts.push(indented("use it by", &usage.commands));
        parts.push(indented("or in Rust", &usage.rust));
    }
    parts.join("\n\n")
}

fn indented(head: &str, lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
    format!("{head}\n{}", lines.join("\n"))
}

/// Headings of the table.
pub(super) fn header(tuning: &Tuning) -> [&'static str; 9] {
    let scored = match tuning.test_images {
        0 => ["", "", ""],
        _ => ["test %", "95 %", "flips"],
    };
    let [test, interval, flips] = scored;
    let validation = if tuning.validation_images == 0 {
        ""
    } else {
        "val %"
    };
    let unit = unit(tuning.goal);
    [
        "setting",
        unit,
        "95 %",
        "images/s",
        "x default",
        validation,
        test,
        interval,
        flips,
    ]
}

/// Cells of a setting. Its number is its dot's on the page.
pub(super) fn cells((index, tried): (usize, &Tried)) -> Vec<String> {
    let [low, high] = tried.interval;
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let mut cells = vec![
        format!("{:>2} {}", index + 1, tried.setting),
        digits(tried.ms),
        format!("{} to {}", digits(low), digits(high)),
        digits(tried.images_per_second),
        tried
            .speedup
            .map_or(String::new(), |[_, ratio, _]| format!("{ratio:.2}")),
    ];
    let validation = tried
        .validation
        .as_ref()
        .map(|accuracy| percent(accuracy.share()));
    cells.push(validation.unwrap_or_default());
    match &tried.test {
        Some(accuracy) => {
            let [low, high] = accuracy.interval;
            cells.push(percent(accuracy.share()));
            cells.push(format!("{} to {}", percent(low), percent(high)));
            cells.push(accuracy.flips.len().to_string());
        }
        None => cells.extend([String::new(), String::new(), String::new()]),
    }
    cells
}

fn table(tuning: &Tuning) -> String {
    let mut table = Table::new([Column::LEFT, Column::LEFT, Column::RIGHT]);
    let mut row = |mark: &str, cells: Vec<String>| {
        table.row([mark.to_owned()].into_iter().chain(cells));
    };
    row("", header(tuning).map(str::to_owned).to_vec());
    for (index, tried) in tuning.tried.iter().enumerate() {
        let mark = match tuning.recommended == Some(index) {
            true => ">",
            false if tuning.frontier.contains(&index) => "*",
            false => "",
        };
        row(mark, cells((index, tried)));
    }
    table.to_string()
}

/// How the table is read, and why settings left the race.
fn notes(tuning: &Tuning) -> String {
    let mut lines = vec![format!(
        "> recommended{}; 1 is the default; {:.0} s, {} settings",
        match tuning.frontier.is_empty() {
            true => "",
            false => ", * nothing is faster and at least as accurate",
        },
        tuning.seconds,
        tuning.tried.len()
    )];
    if tuning.validation_images > 0 {
        lines.push(format!(
            "chosen by {} validation images, reported on {} test images; flips are answers that differ from {} on \
             the cpu",
            tuning.validation_images,
            tuning.test_images,
            own_precision(tuning)
        ));
    }
    lines.extend(dropped(tuning));
    lines.join("\n")
}

/// Why settings left the race, one line each.
pub(super) fn dropped(tuning: &Tuning) -> Vec<String> {
    let all = tuning.tried.iter().enumerate();
    all.filter_map(|(index, tried)| {
        let why = tried.dropped.as_ref()?;
        Some(format!(
            "left the race after {} turns: {} {}: {why}",
            tried.rounds,
            index + 1,
            tried.setting
        ))
    })
    .collect()
}

/// The test images that the recommended setting answers otherwise.
fn flips(tried: &Tried) -> Option<String> {
    let flips = &tried.accuracy()?.flips;
    let (first, last) = (flips.first()?, flips.len().saturating_sub(SHOWN));
    let mut lines = vec![format!("answers that change, such as `{}`:", first.path)];
    lines.extend(flips.iter().take(SHOWN).map(|flip| {
        format!(
            "  {} ({}): {}, was {}",
            flip.path, flip.label, flip.found, flip.reference
        )
    }));
    if last > 0 {
        lines.push(format!("  and {last} more: `--json FILE` has them all"));
    }
    Some(lines.join("\n"))
}

/// How the recommended setting is used; `None` without one.
pub(super) fn usage(tuning: &Tuning, args: &TuneArgs, saved: bool) -> Option<Usage> {
    let setting = tuning.tried[tuning.recommended?].setting;
    let model = quoted(&tuning.model);
    let own = own_precision(tuning);
    if saved {
        return Some(Usage {
            commands: vec![format!("deploy predict --model {model} --tuned IMAGE")],
            rust: [
                format!(
                    "let classifier = classifold::Classifier::builder({:?})",
                    tuning.model
                ),
                "    .tuned()".to_owned(),
                "    .open()?;".to_owned(),
            ],
        });
    }
    let is_converted = setting.precision != own
        && setting
            .precision
            .converts(setting.provider)
            .unwrap_or(false);
    let data = args
        .data
        .as_deref()
        .map(|data| format!(" --data {}", quoted(data)));
    let mut commands = Vec::new();
    let mut file = tuning.model.clone();
    if is_converted {
        file = format!(
            "{}.{}.onnx",
            file.trim_end_matches(".onnx"),
            setting.precision
        );
        commands.push(format!(
            "deploy convert --model {model} --precision {}{} --out {}{}",
            setting.precision,
            provider_flag(setting.provider),
            quoted(&file),
            data.unwrap_or_default()
        ));
    }
    let common = format!("--model {}{}", quoted(&file), flags(&setting, own));
    // Only a saved setting opens several sessions in `predict`.
    if setting.sessions == 1 {
        commands.push(format!(
            "deploy predict {common} --batch {} IMAGE",
            setting.batch
        ));
    }
    commands.push(format!(
        "deploy bench {common} --batch {} --streams {}",
        setting.batch, setting.sessions
    ));
    Some(Usage {
        commands,
        rust: rust(&setting, &file),
    })
}

fn provider_flag(provider: Provider) -> String {
    match provider {
        Provider::Cpu => String::new(),
        other => format!(" --provider {other}"),
    }
}

/// The flags that every command takes.
fn flags(setting: &Setting, own: Precision) -> String {
    let mut flags = provider_flag(setting.provider);
    if setting.precision != own {
        flags += &format!(" --precision {}", setting.precision);
    }
    if let Some(threads) = setting.threads {
        flags += &format!(" --threads {threads}");
    }
    flags
}

/// The three lines that open the file with the setting.
fn rust(setting: &Setting, file: &str) -> [String; 3] {
    let mut middle = format!(
        "    .provider({:?}.parse()?).precision({:?}.parse()?).sessions({})",
        setting.provider.to_string(),
        setting.precision.name(),
        setting.sessions
    );
    if let Some(threads) = setting.threads {
        middle += &format!(".threads({threads})");
    }
    [
        format!("let classifier = classifold::Classifier::builder({file:?})"),
        middle + &format!(".batches(vec![{}])", setting.batch),
        "    .open()?;".to_owned(),
    ]
}

/// A word of a command line: in quotes where a shell would divide it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:=@%,".contains(c);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
