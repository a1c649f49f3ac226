//! `deploy bench`: measures configurations, scores them, compares them with an earlier run.

mod gate;
pub(super) mod models;
mod open;
mod score;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bench::cold::OpenedConfig;
use bench::compare;
use bench::measurements::Measurements;
use bench::plan::Plan;
use bench::run::{self, BenchConfig, Schedule};
use bench::scenario::Scenario;
use bench::sparkline::sparkline;
use bench::stats::{self, Stats};
use bench::system::{SystemInfo, Ticks};
use bench::warnings;
use bench::{BenchResult, Findings, matrix};
use console::{ExitStatus, Interrupt, Printer};
use deploy::files::write::atomically;
use fs_err as fs;

use crate::cli::{BenchArgs, MeasuringArgs};
use crate::cli_error::CliError;
use crate::export;
use crate::source;
use open::OpenedConfigs;
use score::ConfigScores;

/// Blocks that the sparkline shows.
const SPARKS: usize = 10;

pub(crate) fn run(args: &BenchArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let base = args.results.compare.as_deref().map(read_base).transpose()?;
    gate::check_base(args, base.as_ref())?;
    let date = data::card::utc_date();
    let cache = source::cache(args.location.cache.as_deref())?;
    check_rate(&args.measuring)?;
    let models = models::models(args, &cache, printer)?;
    let (plan, load_ms) = open::plan(models, args, &cache, printer)?;
    let answer = "interrupted: the results so far follow (again: stop at once)";
    let stop = Arc::clone(Interrupt::on_ctrl_c(printer, answer)?.flag());
    let mut open = open::open(&plan, args, (&cache, load_ms), &stop, printer)?;
    let configs = open.configs.iter();
    let keys: Vec<_> = configs.map(|opened| plan.key(&opened.config)).collect();
    if let Some(base) = &base {
        compare::check_configurations(&keys, base)?;
    }
    gate::check_opened(args, &plan, &open.configs)?;
    let before = Ticks::now();
    let measurements = measure(&keys, &mut open, args, &stop, printer)?;
    // Before the scoring: other programs only matter while something is timed.
    let others = Ticks::now()
        .zip(before)
        .and_then(|(now, before)| now.others_since(&before));
    let (scores, unscored) = match score::scores(&plan, &mut open, &stop, printer) {
        Ok(scores) => (scores, None),
        Err(error) => (vec![ConfigScores::default(); keys.len()], Some(error)),
    };
    let mut findings = findings(args, &plan, &mut open, date);
    findings.partial = stop.load(Ordering::SeqCst);
    let mut warnings = warnings::about_system(&findings.machine, others);
    for (index, (opened, scores)) in open.configs.iter().zip(scores).enumerate() {
        if let Some(stats) = stats::stats(&measurements[index], args.measuring.seed) {
            warnings.extend(warnings::about_result(&keys[index], &stats));
            findings
                .results
                .push(result(&open, opened, (&keys[index], stats), scores));
        }
    }
    findings.warnings = warnings;
    if args.configurations.matrix {
        findings.pareto = matrix::pareto(&findings.results);
        findings.recommendation = matrix::recommend(&findings.results);
    }
    let verdict = match findings.partial {
        true => Ok(false),
        false => judge(&mut findings, base.as_ref(), args),
    };
    // Results are written even where scoring or judging failed.
    write(&findings, args, printer)?;
    if let Some(error) = unscored {
        return Err(error);
    }
    let failed = verdict?;
    if findings.partial {
        return Err(CliError::interrupted().into());
    }
    Ok(ExitStatus::from_check(!failed))
}

/// Refuses a rate without the server scenario, and one with too few or too many arrivals in a block.
fn check_rate(measuring: &MeasuringArgs) -> Result<(), CliError> {
    let Some(rate) = measuring.rate else {
        return Ok(());
    };
    if measuring.scenario() != Scenario::Server {
        return Err(CliError::flag_elsewhere("--rate", "--scenario server"));
    }
    let arrivals = rate * measuring.duration.as_secs_f64() / f64::from(measuring.blocks);
    match (1.0..=1e7).contains(&arrivals) {
        true => Ok(()),
        false => Err(CliError::with_hint(
            format!(
                "a block has {arrivals:.3e} arrivals\n  expected: 1 to 1e7, which is `--rate` times \
                 `--duration` over `--blocks`"
            ),
            "change `--duration`, `--blocks` or `--rate`",
        )),
    }
}

/// Reads the results of an earlier run.
fn read_base(path: &Path) -> anyhow::Result<Findings> {
    let bad = |reason: String| {
        CliError::with_hint(
            format!(
                "`{}` is not a benchmark to compare with: {reason}",
                path.display()
            ),
            "write one with `deploy bench --json FILE`",
        )
    };
    let text = fs::read_to_string(path)?;
    let findings: Findings = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    if findings.partial {
        return Err(bad("it was interrupted".to_owned()).into());
    }
    if findings.results.is_empty() {
        return Err(bad("it has no results".to_owned()).into());
    }
    Ok(findings)
}

fn schedule(measuring: &MeasuringArgs) -> Schedule {
    Schedule {
        scenario: measuring.scenario(),
        rate: measuring.rate.unwrap_or(1.0),
        warmup: measuring.warmup,
        duration: measuring.duration,
        blocks: u32::from(measuring.blocks),
        seed: measuring.seed,
    }
}

/// Measures every configuration, with a bar and a sparkline of block medians.
fn measure(
    keys: &[bench::Key],
    open: &mut OpenedConfigs<'_>,
    args: &BenchArgs,
    stop: &Arc<AtomicBool>,
    printer: &Printer,
) -> anyhow::Result<Vec<Vec<Measurements>>> {
    let schedule = schedule(&args.measuring);
    let count = open.configs.len();
    printer.log(format!(
        "measuring {count} configuration{}, {} blocks of {} each, in turn",
        if count == 1 { "" } else { "s" },
        args.measuring.blocks,
        humantime::format_duration(args.measuring.duration / u32::from(args.measuring.blocks)),
    ));
    let configs: Vec<&BenchConfig> = open.configs.iter().map(|opened| &opened.sessions).collect();
    let turns = printer.turn_bar(
        "measuring",
        (count * usize::from(args.measuring.blocks)) as u64,
    );
    let (done, medians) = (RefCell::new(0), RefCell::new(vec![Vec::new(); count]));
    let warming = |index: usize| turns.set_message(format!("{}: warming up", keys[index]));
    let rates = run::warm_up(&configs, &schedule, stop, &warming)?;
    gate::check_runs(args, keys, &rates)?;
    let progress = |index: usize, measured: &Measurements| {
        let key = &keys[index];
        *done.borrow_mut() += 1;
        let mut medians = medians.borrow_mut();
        let per_run = measured.elapsed / measured.runs.max(1) as f64;
        let median = stats::median(&measured.latencies).unwrap_or(per_run);
        medians[index].push(median);
        let line = sparkline(&medians[index], SPARKS);
        turns.set_message(format!("{key}  {line}  {:.2} ms", 1e3 * median));
        turns.set_position(*done.borrow());
    };
    let samples = run::run(&configs, &rates, &schedule, stop, &progress);
    turns.finish_and_clear();
    open.opener.note_peak();
    Ok(samples?)
}

fn findings(args: &BenchArgs, plan: &Plan, open: &mut OpenedConfigs<'_>, date: String) -> Findings {
    open.opener.note_peak();
    let runtime = deploy::runtime::loaded().map(|found| found.version.clone());
    Findings {
        tool: format!("deploy {}", env!("CARGO_PKG_VERSION")),
        date,
        runtime: runtime.unwrap_or_else(|| "none".to_owned()),
        machine: SystemInfo::here(),
        seed: args.measuring.seed,
        partial: false,
        results: Vec::new(),
        skipped: [&plan.skipped[..], &open.skipped].concat(),
        pareto: Vec::new(),
        recommendation: None,
        warnings: Vec::new(),
        comparison: Vec::new(),
        peak_process_bytes: open.opener.peak,
    }
}

fn result(
    open: &OpenedConfigs<'_>,
    opened: &OpenedConfig,
    (key, stats): (&bench::Key, Stats),
    scores: ConfigScores,
) -> BenchResult {
    let ConfigScores {
        accuracy,
        verification,
    } = scores;
    BenchResult {
        key: key.clone(),
        split_ms: open.stages[opened.config.model].with_session(&stats),
        runs: stats.runs,
        images_per_second: stats.images_per_second,
        latency_ms: stats.latency_ms,
        interval_95: stats.interval_95,
        log_error: stats.log_error,
        cold_ms: opened.cold,
        memory: opened.memory,
        nodes_by_provider: opened.sessions.workers[0].info.nodes.clone(),
        top1: accuracy
            .as_ref()
            .map(|a| a.correct as f64 / a.count.max(1) as f64),
        accuracy,
        verification,
        blocks: stats.blocks,
        quantiles_ms: stats.quantiles_ms,
    }
}

/// Compares with the base and judges the conditions; returns whether one of them holds.
fn judge(
    findings: &mut Findings,
    base: Option<&Findings>,
    args: &BenchArgs,
) -> anyhow::Result<bool> {
    let pairs = base.map(|base| compare::pairs(findings, base));
    let mut lines = pairs.as_deref().map(compare::summary).unwrap_or_default();
    let mut failed = false;
    if let Some(conditions) = &args.results.fail_if {
        for verdict in compare::judge(findings, pairs.as_deref(), conditions)? {
            failed |= verdict.holds;
            lines.push(verdict.text);
        }
    }
    findings.comparison = lines;
    Ok(failed)
}

fn write(findings: &Findings, args: &BenchArgs, printer: &Printer) -> anyhow::Result<()> {
    let results = &args.results;
    for warning in &findings.warnings {
        printer.warn(warning);
    }
    if let Some(csv) = &results.csv {
        atomically(csv, &export::csv::render(findings)?)?;
    }
    if let Some(html) = &results.html {
        atomically(html, export::html::render(findings).as_bytes())?;
    }
    if let Some(json) = &results.json {
        printer.json(json, findings)?;
    }
    // Last: a reader such as `head` may have had enough, and the files are written by then.
    printer
        .with_outputs(&[
            results.json.as_deref(),
            results.csv.as_deref(),
            results.html.as_deref(),
        ])
        .result(export::table::text(findings))?;
    Ok(())
}
