//! Text report of the doctor. Probes nothing.

use std::path::Path;

use deploy::probe::{Device, Library, Machine};

use super::super::cache::human;
use super::{Cache, Candidate, Report, Trial};

/// Every fact on a line of its own, under a heading.
pub(super) fn of(report: &Report) -> String {
    let mut lines = vec!["machine".to_owned()];
    machine(&report.machine, &mut lines);
    gpus(&report.providers, &mut lines);
    lines.push("ONNX Runtime".to_owned());
    runtimes(&report.runtimes, &mut lines);
    lines.push("providers".to_owned());
    for trial in &report.providers {
        provider(trial, &mut lines);
    }
    lines.push("cache folder".to_owned());
    cache(&report.cache, &mut lines);
    if !report.unmet.is_empty() {
        lines.push(format!(
            "required, but not ready: {}",
            report.unmet.join(", ")
        ));
    }
    lines.join("\n")
}

fn fact(name: &str, value: &str) -> String {
    format!("  {name:<10} {value}")
}

/// A line below a fact.
fn detail(text: &str) -> String {
    format!("             {text}")
}

fn machine(machine: &Machine, lines: &mut Vec<String>) {
    lines.push(fact("system", &machine.system));
    let name = machine.cpu.as_deref().unwrap_or("unknown");
    lines.push(fact("cpu", name));
    if !machine.features.is_empty() {
        lines.push(fact("", &machine.features.join(", ")));
    }
    let physical = machine.physical_cores;
    let physical = physical.map_or(String::new(), |n| format!("{n} physical, "));
    lines.push(fact(
        "cores",
        &format!(
            "{physical}{} logical, {} usable here",
            machine.logical_cores, machine.usable_cores
        ),
    ));
    let mut memory = machine.memory.map_or("unknown".to_owned(), human);
    if let Some(available) = machine.memory_available {
        memory += &format!(", {} available", human(available));
    }
    if let Some(limit) = machine.memory_limit {
        memory += &format!(", limited to {}", human(limit));
    }
    lines.push(fact("memory", &memory));
}

/// The driver and its GPUs, as the first trial that saw them says.
fn gpus(trials: &[Trial], lines: &mut Vec<String>) {
    let Some(driver) = trials.iter().find_map(|t| t.readiness.driver.as_ref()) else {
        let tried = trials.iter().any(|t| t.provider != "cpu");
        if tried {
            lines.push(fact("driver", "no NVIDIA driver that starts"));
        }
        return;
    };
    let version = driver.version.as_deref().unwrap_or("of unknown version");
    lines.push(fact(
        "driver",
        &format!(
            "{version}, for CUDA up to {} (`{}`)",
            driver.cuda_text(),
            driver.path.display()
        ),
    ));
    for (number, gpu) in driver.devices.iter().enumerate() {
        lines.push(fact(&format!("gpu {number}"), &device(gpu)));
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

fn runtimes(candidates: &[Candidate], lines: &mut Vec<String>) {
    if candidates.is_empty() {
        lines.push(fact("none", "fix: run `deploy runtime install`"));
    }
    for candidate in candidates {
        let version = candidate.version.as_deref().unwrap_or("unusable");
        let cuda = if candidate.cuda { "with CUDA, " } else { "" };
        let place = format!("{cuda}{}", candidate.source);
        lines.push(fact(version, &place));
        lines.push(detail(&format!("`{}`", candidate.path.display())));
        if let Some(error) = &candidate.error {
            lines.extend(error.lines().map(|line| detail(line.trim_end())));
        }
    }
}

fn provider(trial: &Trial, lines: &mut Vec<String>) {
    let name = &trial.provider;
    match &trial.inference {
        Some(inference) if trial.ready => lines.push(fact(
            name,
            &format!(
                "ready: right answer in {:.3} ms (opened in {:.0} ms, first run {:.1} ms)",
                inference.run_ms, inference.open_ms, inference.first_ms
            ),
        )),
        _ => lines.push(fact(name, "not ready")),
    }
    if let Some(inference) = &trial.inference {
        let nodes = inference.nodes_by_provider.iter();
        let nodes: Vec<String> = nodes
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        lines.push(detail(&format!("nodes on {}", nodes.join(", "))));
    }
    if let Some(runtime) = &trial.runtime {
        let from = format!("ONNX Runtime {} from {}", runtime.version, runtime.source);
        lines.push(detail(&from));
    }
    libraries(&trial.readiness.libraries, lines);
    let missing = &trial.readiness.missing;
    for (index, requirement) in missing.iter().enumerate() {
        lines.push(detail(&format!("lacks: {}", requirement.what)));
        lines.push(detail(&format!("  expected: {}", requirement.expected)));
        lines.push(detail(&format!("  found:    {}", requirement.found)));
        // One command often mends several.
        if missing
            .get(index + 1)
            .is_none_or(|next| next.fix != requirement.fix)
        {
            lines.push(detail(&format!("  fix: {}", requirement.fix)));
        }
    }
    if let Some(error) = &trial.error {
        lines.push(detail(&format!(
            "error: {}",
            error.what.replace('\n', "\n             ")
        )));
        if let Some(fix) = &error.fix {
            lines.push(detail(&format!("  fix: {fix}")));
        }
    }
}

/// A line for every folder that libraries come from.
fn libraries(libraries: &[Library], lines: &mut Vec<String>) {
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
        lines.push(detail(&format!("has: {}", names.join(", "))));
        lines.push(detail(&format!("  in `{}`", folder.display())));
    }
}

fn cache(cache: &Cache, lines: &mut Vec<String>) {
    let free = cache
        .free
        .map_or(String::new(), |free| format!(", {} free", human(free)));
    let size = human(cache.bytes);
    let state = match &cache.error {
        None => "can be written to".to_owned(),
        Some(error) => format!("cannot be written to ({error}): choose another with `--cache DIR`"),
    };
    lines.push(fact(&size, &format!("in `{}`{free}", cache.path.display())));
    lines.push(detail(&state));
}
