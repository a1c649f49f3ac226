//! `deploy doctor`: which providers run on this machine, and how to fix the others.
//!
//! Each provider is tried in a process of its own: a process can load one ONNX Runtime, and a library that crashes
//! ends only its own trial.

mod text;
mod trial;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use console::{ExitStatus, Printer, printer};
use deploy::Provider;
use deploy::probe::{Machine, Readiness};
use deploy::runtime::{self, Search};
use serde::{Deserialize, Serialize};

use super::cache;
use crate::cli::DoctorArgs;
use crate::source;

/// A trial that takes longer hangs: building a TensorRT engine for the tiny model takes a tenth of this.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(300);

/// The whole report.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    /// Every ONNX Runtime, in the order in which they are looked for on the CPU.
    runtimes: Vec<Candidate>,
    providers: Vec<Trial>,
    cache: Cache,
    /// Providers that were required and do not run.
    unmet: Vec<String>,
}

/// An ONNX Runtime library.
#[derive(Debug, Serialize)]
struct Candidate {
    path: PathBuf,
    source: String,
    version: Option<String>,
    cuda: bool,
    /// Why it cannot be used.
    error: Option<String>,
}

/// Trial of a provider.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Trial {
    provider: String,
    /// Whether it computed the correct result.
    ready: bool,
    runtime: Option<RuntimeUsed>,
    #[serde(flatten)]
    readiness: Readiness,
    /// Devices of a plugin provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    devices: Vec<PluginDevice>,
    inference: Option<Inference>,
    error: Option<Problem>,
}

/// A device of a plugin provider, and the precisions in which it computes.
#[derive(Debug, Serialize, Deserialize)]
struct PluginDevice {
    name: String,
    description: String,
    precisions: Vec<String>,
}

/// The ONNX Runtime that a provider gets.
#[derive(Debug, Serialize, Deserialize)]
struct RuntimeUsed {
    path: PathBuf,
    version: String,
    source: String,
}

/// A tiny model that was run.
#[derive(Debug, Serialize, Deserialize)]
struct Inference {
    open_ms: f64,
    first_ms: f64,
    /// Median of the runs after the first.
    run_ms: f64,
    max_difference: f32,
    /// Its nodes by provider, from the session's own record.
    nodes_by_provider: BTreeMap<String, usize>,
}

/// An error beside the missing requirements.
#[derive(Debug, Serialize, Deserialize)]
struct Problem {
    what: String,
    fix: Option<String>,
}

/// The cache folder.
#[derive(Debug, Serialize)]
struct Cache {
    path: PathBuf,
    bytes: u64,
    free: Option<u64>,
    /// Why nothing can be written into it.
    error: Option<String>,
}

pub(crate) fn run(args: &DoctorArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let cache = source::cache(args.cache.cache.as_deref())?;
    if let Some(provider) = args.trial {
        let trial = trial::run(provider, &search(args, &cache, provider));
        printer::line(&serde_json::to_string(&trial)?)?;
        return Ok(ExitStatus::Success);
    }
    let mut providers = args.provider.clone();
    for provider in &args.require {
        if !providers.contains(provider) {
            providers.push(*provider);
        }
    }
    let mut trials = Vec::new();
    for provider in &providers {
        printer.log(format!("trying {provider}"));
        trials.push(run_in_process(*provider, args, &cache));
    }
    let fails = |provider: &&Provider| {
        let name = provider.to_string();
        !trials
            .iter()
            .any(|trial| trial.provider == name && trial.ready)
    };
    let unmet = args.require.iter().filter(fails).map(ToString::to_string);
    let report = Report {
        machine: Machine::read(),
        runtimes: candidates(&search(args, &cache, Provider::Cpu)),
        unmet: unmet.collect(),
        providers: trials,
        cache: inspect_cache(&cache),
    };
    if args.json {
        printer.json("-".as_ref(), &report)?;
    } else {
        // What was required and does not run needs all that is known.
        let is_long = args.details || !report.unmet.is_empty();
        printer::line(&match is_long {
            true => text::report(&report),
            false => text::summary(&report),
        })?;
    }
    Ok(ExitStatus::from_check(report.unmet.is_empty()))
}

fn search(args: &DoctorArgs, cache: &Path, provider: Provider) -> Search {
    Search {
        provider,
        ..Search::from_env(args.runtime.clone(), Some(cache))
    }
}

fn candidates(search: &Search) -> Vec<Candidate> {
    runtime::candidates(search)
        .into_iter()
        .map(|(path, source, found)| Candidate {
            path,
            source: source.to_string(),
            version: found.as_ref().ok().map(|found| found.version.clone()),
            cuda: found.as_ref().is_ok_and(|found| found.gpu),
            error: found.err().map(|error| error.to_string()),
        })
        .collect()
}

/// Tries a provider in another process.
fn run_in_process(provider: Provider, args: &DoctorArgs, cache: &Path) -> Trial {
    let failed = |what: String| Trial {
        provider: provider.to_string(),
        error: Some(Problem {
            what,
            fix: Some(format!("see `deploy doctor --trial {provider} --verbose`")),
        }),
        ..Trial::default()
    };
    match trial_output(provider, args, cache) {
        Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| {
            failed(format!("the output of its trial cannot be read: {error}"))
        }),
        Err(what) => failed(what),
    }
}

/// Runs the trial's process; returns its standard output, or the reason why there is none.
fn trial_output(provider: Provider, args: &DoctorArgs, cache: &Path) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command
        .args(["doctor", "--quiet", "--trial", &provider.to_string()])
        .arg("--cache")
        .arg(cache);
    if let Some(runtime) = &args.runtime {
        command.arg("--runtime").arg(runtime);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("its trial does not start: {e}"))?;
    let mut out = child.stdout.take().ok_or("its trial has no output")?;
    // Read while the trial runs: a full pipe would block it.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if start.elapsed() > TRIAL_TIMEOUT => {
                // It may have ended by itself just now.
                child.kill().unwrap_or_default();
                child.wait().map_err(|e| e.to_string())?;
                return Err(format!(
                    "it did not answer within {} s",
                    TRIAL_TIMEOUT.as_secs()
                ));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    if !status.success() {
        return Err(format!("its libraries crash the process: {status}"));
    }
    match reader.join() {
        Ok(text) => text.map_err(|e| e.to_string()),
        Err(_) => Err("its trial cannot be read".to_owned()),
    }
}

fn inspect_cache(folder: &Path) -> Cache {
    // A folder that does not exist yet will be created below the nearest existing one.
    let existing = folder.ancestors().find(|path| path.exists());
    let existing = existing.unwrap_or(Path::new("."));
    Cache {
        path: folder.to_owned(),
        bytes: if folder.is_dir() {
            cache::size(folder).unwrap_or(0)
        } else {
            0
        },
        free: runtime::free_space(existing),
        error: tempfile::tempfile_in(existing).err().map(|e| e.to_string()),
    }
}
