//! System information: the machine, and memory and processor time of this process; `None` on other systems than
//! Linux. Measures nothing else.

use std::path::Path;

use deploy::probe::Machine;
use fs_err as fs;
use serde::{Deserialize, Serialize};

/// The system that a benchmark ran on, as its files name it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SystemInfo {
    pub system: String,
    /// Name of the processor.
    pub processor: Option<String>,
    pub cores: usize,
    /// Frequency governor of the processor.
    pub governor: Option<String>,
    /// Names of the GPUs, by CUDA's numbers.
    #[serde(default)]
    pub gpus: Vec<String>,
    /// Version of NVIDIA's driver.
    #[serde(default)]
    pub driver: Option<String>,
}

impl SystemInfo {
    pub fn here() -> Self {
        let machine = Machine::read();
        let governor = Path::new("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        let driver = deploy::probe::driver();
        Self {
            system: machine.system,
            processor: machine.cpu,
            cores: machine.usable_cores,
            governor: fs::read_to_string(governor)
                .ok()
                .map(|name| name.trim().to_owned()),
            gpus: driver
                .iter()
                .flat_map(|driver| &driver.devices)
                .map(|gpu| gpu.name.clone())
                .collect(),
            driver: driver.and_then(|driver| driver.version),
        }
    }
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Free share of the memory below which no more sessions should be opened.
const FREE_MEMORY: f64 = 0.15;

/// Whether enough memory is free; `true` where the system does not say.
pub(crate) fn has_memory() -> bool {
    let machine = Machine::read();
    let all = machine.memory_limit.or(machine.memory);
    let free = machine.memory_available.zip(all);
    free.is_none_or(|(free, all)| free as f64 > FREE_MEMORY * all as f64)
}

/// A line `name: N kB` of this process's status, in bytes.
fn status(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    kilobytes(&text, name)
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kb| 1024 * kb)
}

/// Resident memory of this process now, bytes.
pub fn resident() -> Option<u64> {
    status("VmRSS")
}

/// Peak of the resident memory since [`reset_peak`], or since the start, bytes.
pub fn peak() -> Option<u64> {
    status("VmHWM")
}

/// Resets the peak to the memory that is resident now (proc(5), `clear_refs`); `false` where that is not possible.
pub fn reset_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Memory in use on a GPU by all programs together, bytes. `None` beside several GPUs, which NVML and CUDA may
/// number differently.
pub fn device_memory(device: u32) -> Option<u64> {
    let nvml = nvml_wrapper::Nvml::init().ok()?;
    if nvml.device_count().ok()? != 1 || device != 0 {
        return None;
    }
    Some(nvml.device_by_index(0).ok()?.memory_info().ok()?.used)
}

/// Processor time so far, in clock ticks: of all cores together, idle included; of all work; of this
/// process.
///
/// From `/proc/stat`, since the load average still holds the minute before the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticks {
    all: u64,
    busy: u64,
    own: u64,
}

impl Ticks {
    pub fn now() -> Option<Self> {
        let system = fs::read_to_string("/proc/stat").ok()?;
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        Self::parse(&system, &own)
    }

    /// proc(5): `cpu user nice system idle iowait irq softirq steal ...`; of the process, the 14th and
    /// 15th field, counted behind the name in parentheses.
    fn parse(system: &str, own: &str) -> Option<Self> {
        let line = system.lines().next()?.strip_prefix("cpu ")?;
        let fields: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .filter_map(|n| n.parse().ok())
            .collect();
        let all: u64 = fields.iter().sum();
        let idle = fields.get(3)? + fields.get(4)?;
        let (_, own) = own.rsplit_once(')')?;
        let own: Vec<&str> = own.split_whitespace().collect();
        let ticks = |at: usize| own.get(at)?.parse::<u64>().ok();
        Some(Self {
            all,
            busy: all - idle,
            own: ticks(11)? + ticks(12)?,
        })
    }

    /// Share of all processor time since `earlier` that went to others, `[0, 1]`.
    pub fn others_since(&self, earlier: &Self) -> Option<f64> {
        let all = self.all.checked_sub(earlier.all).filter(|all| *all > 0)?;
        let busy = self.busy.saturating_sub(earlier.busy);
        let own = self.own.saturating_sub(earlier.own);
        Some(busy.saturating_sub(own) as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_texts_are_read() {
        assert_eq!(
            kilobytes("VmPeak:\t 9 kB\nVmHWM:\t  12 kB\n", "VmHWM"),
            Some(12 * 1024)
        );
        assert_eq!(kilobytes("Name:\tdeploy\n", "Name"), None);
        let earlier = Ticks::parse(
            "cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 1",
            "7 (a b) c) R 1 1 1 0 -1 0 0 0 0 0 5 3 0",
        );
        let earlier = earlier.unwrap();
        assert_eq!((earlier.all, earlier.busy, earlier.own), (100, 20, 8));
        let later = Ticks {
            all: 200,
            busy: 80,
            own: 48,
        };
        assert_eq!(later.others_since(&earlier), Some(0.2));
        assert_eq!(earlier.others_since(&earlier), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_a_processor() {
        assert!(peak().unwrap() >= resident().unwrap() / 2);
        assert!(reset_peak() && Ticks::now().is_some());
        assert!(SystemInfo::here().cores > 0);
    }
}
