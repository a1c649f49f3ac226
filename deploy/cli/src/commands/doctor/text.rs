//! Text report of the doctor. Probes nothing.

use std::path::Path;

use console::table::{Column, Table};
use deploy::probe::{Device, Library, Machine};

use super::super::cache::human;
use super::{Cache, Candidate, PluginDevice, Report, Trial};

/// A section of the report: facts, and lines of detail below them.
struct Section {
    title: &'static str,
    table: Table,
}

impl Section {
    fn new(title: &'static str) -> Self {
        let columns = [Column::LEFT, Column::LEFT.at_least(10), Column::LEFT];
        Self {
            title,
            table: Table::new(columns),
        }
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.table.row(["", name, value]);
    }

    fn detail(&mut self, text: &str) {
        text.lines().for_each(|line| self.fact("", line));
    }
}

/// A line for each provider, one for all GPUs where there is none, and whatever else does not work.
pub(super) fn summary(report: &Report) -> String {
    let mut table = Table::new([Column::LEFT, Column::LEFT]);
    let has_driver = report
        .providers
        .iter()
        .any(|trial| trial.readiness.driver.is_some());
    let mut has_gpu_line = has_driver;
    for trial in &report.providers {
        let name = &trial.provider;
        if trial.ready {
            let version = trial
                .runtime
                .as_ref()
                .map(|runtime| runtime.version.as_str());
            let version = version.unwrap_or("of unknown version");
            let devices: Vec<String> = trial.devices.iter().map(device_line).collect();
            let devices = match devices.as_slice() {
                [] => String::new(),
                all => format!("; {}", all.join("; ")),
            };
            table.row([name, &format!("ready, ONNX Runtime {version}{devices}")]);
        } else if !is_nvidia(trial) || has_driver {
            table.row([name, &format!("not ready: {}", problem(trial))]);
        } else if !has_gpu_line {
            has_gpu_line = true;
            table.row(["gpu", "none: there is no NVIDIA driver that starts"]);
        }
    }
    for candidate in &report.runtimes {
        if let Some(error) = &candidate.error {
            let first = error.lines().next().unwrap_or_default();
            table.row(["library", &format!("left out: {first}")]);
        }
    }
    if let Some(error) = &report.cache.error {
        let path = report.cache.path.display();
        table.row(["cache", &format!("`{path}` {}", not_writable(error))]);
    }
    format!("{table}\n(all that was found and what is missing: `deploy doctor --details`)")
}

/// Whether a provider computes on NVIDIA's GPUs, and so needs their driver.
fn is_nvidia(trial: &Trial) -> bool {
    ["cuda", "tensorrt"]
        .iter()
        .any(|name| trial.provider.starts_with(name))
}

/// The first thing that a provider lacks, and how to fix it.
fn problem(trial: &Trial) -> String {
    if let Some(missing) = trial.readiness.missing.first() {
        return format!("{}; fix: {}", missing.what, missing.fix);
    }
    match &trial.error {
        Some(error) => match &error.fix {
            Some(fix) => format!("{}; fix: {fix}", error.what),
            None => error.what.clone(),
        },
        None => "its result is wrong".to_owned(),
    }
}

pub(super) fn report(report: &Report) -> String {
    let mut hardware = Section::new("machine");
    machine(&report.machine, &mut hardware);
    gpus(&report.providers, &mut hardware);
    let mut libraries = Section::new("ONNX Runtime");
    runtimes(&report.runtimes, &mut libraries);
    let mut providers = Section::new("providers");
    for trial in &report.providers {
        provider(trial, &mut providers);
    }
    let mut folder = Section::new("cache folder");
    cache(&report.cache, &mut folder);
    let sections = [hardware, libraries, providers, folder];
    let text = |section: Section| format!("{}\n{}", section.title, section.table);
    let mut lines: Vec<String> = sections.into_iter().map(text).collect();
    if !report.unmet.is_empty() {
        lines.push(format!(
            "required, but not ready: {}",
            report.unmet.join(", ")
        ));
    }
    lines.join("\n")
}

fn machine(machine: &Machine, section: &mut Section) {
    section.fact("system", &machine.system);
    let name = machine.cpu.as_deref().unwrap_or("unknown");
    section.fact("cpu", name);
    if !machine.features.is_empty() {
        section.fact("", &machine.features.join(", "));
    }
    let physical = machine.physical_cores;
    let physical = physical.map_or(String::new(), |n| format!("{n} physical, "));
    section.fact(
        "cores",
        &format!(
            "{physical}{} logical, {} usable here",
            machine.logical_cores, machine.usable_cores
        ),
    );
    let mut memory = machine.memory.map_or("unknown".to_owned(), human);
    if let Some(available) = machine.memory_available {
        memory += &format!(", {} available", human(available));
    }
    if let Some(limit) = machine.memory_limit {
        memory += &format!(", limited to {}", human(limit));
    }
    section.fact("memory", &memory);
}

/// The driver and its GPUs, from the first trial that found them.
fn gpus(trials: &[Trial], section: &mut Section) {
    let Some(driver) = trials.iter().find_map(|t| t.readiness.driver.as_ref()) else {
        let tried = trials.iter().any(is_nvidia);
        if tried {
            section.fact("driver", "no NVIDIA driver that starts");
        }
        return;
    };
    let version = driver.version.as_deref().unwrap_or("of unknown version");
    section.fact(
        "driver",
        &format!(
            "{version}, for CUDA up to {} (`{}`)",
            driver.cuda_text(),
            driver.path.display()
        ),
    );
    for (number, gpu) in driver.devices.iter().enumerate() {
        section.fact(&format!("gpu {number}"), &device(gpu));
    }
}

fn device(gpu: &Device) -> String {
    format!(
        "{}, compute capability {}.{}, {}",
        gpu.name,
        gpu.capability / 10,
        gpu.capability % 10,
        human(gpu.memory)
    )
}

fn runtimes(candidates: &[Candidate], section: &mut Section) {
    if candidates.is_empty() {
        section.fact("none", "fix: run `deploy runtime install`");
    }
    for candidate in candidates {
        let version = candidate.version.as_deref().unwrap_or("unusable");
        let cuda = if candidate.cuda { "with CUDA, " } else { "" };
        let origin = format!("{cuda}{}", candidate.source);
        section.fact(version, &origin);
        section.detail(&format!("`{}`", candidate.path.display()));
        if let Some(error) = &candidate.error {
            section.detail(error);
        }
    }
}

fn provider(trial: &Trial, section: &mut Section) {
    let name = &trial.provider;
    match &trial.inference {
        Some(inference) if trial.ready => section.fact(
            name,
            &format!(
                "ready: correct result in {:.3} ms (opened in {:.0} ms, first run {:.1} ms)",
                inference.run_ms, inference.open_ms, inference.first_ms
            ),
        ),
        _ => section.fact(name, "not ready"),
    }
    if let Some(inference) = &trial.inference {
        let nodes = inference.nodes_by_provider.iter();
        let nodes: Vec<String> = nodes
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        section.detail(&format!("nodes: {}", nodes.join(", ")));
    }
    if let Some(runtime) = &trial.runtime {
        let from = format!("ONNX Runtime {} from {}", runtime.version, runtime.source);
        section.detail(&from);
    }
    for device in &trial.devices {
        section.detail(&format!("device: {}", device_line(device)));
    }
    libraries(&trial.readiness.libraries, section);
    let missing = &trial.readiness.missing;
    for (index, requirement) in missing.iter().enumerate() {
        section.detail(&format!("missing: {}", requirement.what));
        section.detail(&format!("  expected: {}", requirement.expected));
        section.detail(&format!("  found:    {}", requirement.found));
        // One command often fixes several.
        if missing
            .get(index + 1)
            .is_none_or(|next| next.fix != requirement.fix)
        {
            section.detail(&format!("  fix: {}", requirement.fix));
        }
    }
    if let Some(error) = &trial.error {
        section.detail(&format!("error: {}", error.what));
        if let Some(fix) = &error.fix {
            section.detail(&format!("  fix: {fix}"));
        }
    }
}

fn device_line(device: &PluginDevice) -> String {
    let (name, description) = (&device.name, &device.description);
    let precisions = match device.precisions.as_slice() {
        [] => String::new(),
        all => format!(" in {}", all.join(", ")),
    };
    format!("{name} (`{description}`){precisions}")
}

/// The libraries, by the folder that they come from.
fn libraries(libraries: &[Library], section: &mut Section) {
    let mut folders: Vec<&Path> = Vec::new();
    for library in libraries {
        let folder = library.path.parent().unwrap_or(Path::new(""));
        if folders.contains(&folder) {
            continue;
        }
        folders.push(folder);
        let here = libraries.iter().filter(|l| l.path.parent() == Some(folder));
        let names: Vec<String> = here
            .map(|l| match &l.version {
                Some(version) => format!("{} ({version})", l.name),
                None => l.name.clone(),
            })
            .collect();
        section.detail(&format!("found: {}", names.join(", ")));
        section.detail(&format!("  in `{}`", folder.display()));
    }
}

fn not_writable(error: &str) -> String {
    format!("cannot be written to ({error}): choose another with `--cache DIR`")
}

fn cache(cache: &Cache, section: &mut Section) {
    let free = cache
        .free
        .map_or(String::new(), |free| format!(", {} free", human(free)));
    let size = human(cache.bytes);
    let state = match &cache.error {
        None => "can be written to".to_owned(),
        Some(error) => not_writable(error),
    };
    section.fact(&size, &format!("in `{}`{free}", cache.path.display()));
    section.detail(&state);
}
