//! Hardware of the machine: processor, cores, memory. Knows no GPU.

use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

/// Processor and memory of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system and architecture.
    pub system: String,
    /// The processor's name, where the system says it.
    pub cpu: Option<String>,
    /// Instructions that matter to inference: `AVX2`, `AVX-512`, `VNNI`, `AMX`, `NEON` and the like.
    pub features: Vec<String>,
    /// Cores, where the system says it.
    pub physical_cores: Option<usize>,
    /// Hardware threads.
    pub logical_cores: usize,
    /// Hardware threads that this process may use, by affinity and by its control group's quota.
    pub usable_cores: usize,
    /// Memory in bytes, where the system says it.
    pub memory: Option<u64>,
    /// Free memory in bytes.
    pub memory_available: Option<u64>,
    /// Limit in bytes of the control group, where there is one below the memory.
    pub memory_limit: Option<u64>,
}

/// Flags of `/proc/cpuinfo` and their names.
const FEATURES: [(&str, &str); 12] = [
    ("avx2", "AVX2"),
    ("fma", "FMA"),
    ("avx512f", "AVX-512"),
    ("avx_vnni", "AVX-VNNI"),
    ("avx512_vnni", "AVX-512 VNNI"),
    ("avx512_bf16", "AVX-512 BF16"),
    ("amx_tile", "AMX"),
    ("amx_int8", "AMX INT8"),
    ("asimd", "NEON"),
    ("asimddp", "dot product"),
    ("i8mm", "I8MM"),
    ("sve", "SVE"),
];

impl Machine {
    /// This machine.
    pub fn read() -> Self {
        Self::read_under(Path::new("/"))
    }

    /// The machine whose `/proc` and `/sys` are under `root`.
    fn read_under(root: &Path) -> Self {
        let read = |file: &str| fs::read_to_string(root.join(file)).ok();
        let cpuinfo = read("proc/cpuinfo").unwrap_or_default();
        let memory = read("proc/meminfo").unwrap_or_default();
        let usable_cores = std::thread::available_parallelism().map_or(1, usize::from);
        let total = kilobytes(&memory, "MemTotal");
        let limit = [
            "sys/fs/cgroup/memory.max",
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
        ]
        .iter()
        .find_map(|file| read(file)?.trim().parse::<u64>().ok())
        // Without a limit the file says `max`, or a number beyond the memory.
        .filter(|limit| total.is_some_and(|total| *limit < total));
        Self {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpu: value(&cpuinfo, "model name").or_else(|| value(&cpuinfo, "Model")),
            features: features(&cpuinfo),
            physical_cores: physical_cores(&cpuinfo),
            logical_cores: values(&cpuinfo, "processor").count().max(usable_cores),
            usable_cores,
            memory: total,
            memory_available: kilobytes(&memory, "MemAvailable"),
            memory_limit: limit,
        }
    }
}

/// Values of `key : value` lines.
fn values<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(move |line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then_some(value.trim())
    })
}

fn value(text: &str, key: &str) -> Option<String> {
    values(text, key).next().map(str::to_owned)
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let number = values(text, key).next()?.split(' ').next()?;
    Some(number.parse::<u64>().ok()? * 1024)
}

/// Number of different pairs of socket and core, which virtual machines may leave out.
fn physical_cores(cpuinfo: &str) -> Option<usize> {
    let sockets = values(cpuinfo, "physical id");
    let mut cores: Vec<_> = sockets.zip(values(cpuinfo, "core id")).collect();
    cores.sort_unstable();
    cores.dedup();
    (!cores.is_empty()).then_some(cores.len())
}

fn features(cpuinfo: &str) -> Vec<String> {
    let flags = value(cpuinfo, "flags").or_else(|| value(cpuinfo, "Features"));
    let Some(flags) = flags else {
        return detected_features();
    };
    let flags: Vec<&str> = flags.split_whitespace().collect();
    FEATURES
        .iter()
        .filter(|(flag, _)| flags.contains(flag))
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

/// Features by the standard library's detection, where the system lists none.
fn detected_features() -> Vec<String> {
    #[cfg(target_arch = "x86_64")]
    let all = [
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("FMA", std::arch::is_x86_feature_detected!("fma")),
        ("AVX-512", std::arch::is_x86_feature_detected!("avx512f")),
        (
            "AVX-512 VNNI",
            std::arch::is_x86_feature_detected!("avx512vnni"),
        ),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let all = [("NEON", cfg!(target_feature = "neon"))];
    all.into_iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with these files.
    fn written(files: &[(&str, &str)]) -> Machine {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Machine::read_under(root.path())
    }

    #[test]
    fn cores_are_counted_once_and_features_have_names() {
        let mut cpuinfo = String::new();
        for thread in 0..8 {
            let (socket, core) = (thread / 4, thread % 2);
            cpuinfo += &format!(
                "processor\t: {thread}\nmodel name\t: Xeon\nphysical id\t: {socket}\ncore id\t\t: {core}\n\
                 flags\t\t: fpu avx2 fma avx512f avx512_vnni amx_tile amx_int8\n\n"
            );
        }
        let machine = written(&[
            ("proc/cpuinfo", &cpuinfo),
            (
                "proc/meminfo",
                "MemTotal:       16384 kB\nMemAvailable:    8192 kB\n",
            ),
            ("sys/fs/cgroup/memory.max", "4194304\n"),
        ]);
        assert_eq!(machine.cpu.as_deref(), Some("Xeon"));
        assert_eq!(machine.physical_cores, Some(4));
        assert_eq!(
            machine.features.join(" "),
            "AVX2 FMA AVX-512 AVX-512 VNNI AMX AMX INT8"
        );
        let memory = [
            machine.memory,
            machine.memory_available,
            machine.memory_limit,
        ];
        assert_eq!(memory, [16 << 20, 8 << 20, 4 << 20].map(Some));
    }

    #[test]
    fn an_odd_machine_is_still_one() {
        let machine = written(&[
            ("proc/cpuinfo", "processor: 0\nFeatures: fp asimd i8mm\n"),
            ("proc/meminfo", "MemTotal: many kB\n"),
            ("sys/fs/cgroup/memory.max", "max\n"),
        ]);
        assert_eq!(machine.features, ["NEON", "I8MM"]);
        assert_eq!((machine.memory, machine.memory_limit), (None, None));
        let nothing = written(&[]);
        assert!(nothing.logical_cores >= 1 && nothing.cpu.is_none());
    }
}
