//! Plugin providers: execution providers in libraries of their own, which ONNX Runtime loads once per process, and the
//! devices that they find. Knows no model and none of their options.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use machine::probe::{self, SearchPaths};
use machine::{OpenVinoDevice, Provider};
use ort::AsPointer;
use ort::device::Device;

use crate::error::{Error, Result, chain};
use crate::precision::Precision;
use crate::runtime;

/// ONNX Runtime's name of OpenVINO.
pub(crate) const OPENVINO: &str = "OpenVINOExecutionProvider";
/// ONNX Runtime's name of TensorRT for RTX.
pub(crate) const TENSORRT_RTX: &str = "NvTensorRTRTXExecutionProvider";

/// Names of the providers that were registered in the process's one environment: a second time is an error there.
static REGISTERED: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// A device of a plugin provider, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDevice {
    /// Its name: `CPU`, `GPU.0`, `NPU`; of a GPU of NVIDIA's its number.
    pub name: String,
    /// Its maker's name of it, such as `Intel(R) Xeon(R) Processor`.
    pub description: String,
    /// Precisions in which it computes; none where the plugin does not say.
    pub precisions: Vec<Precision>,
    /// Version of the plugin.
    pub version: String,
}

impl PluginDevice {
    fn new(metadata: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| metadata.get(key).cloned().unwrap_or_default();
        let capabilities = text("OPTIMIZATION_CAPABILITIES");
        let is_named = |precision: &Precision| {
            let mut names = capabilities.split_whitespace();
            names.any(|name| name.eq_ignore_ascii_case(precision.name()))
        };
        Self {
            name: text("ov_device"),
            description: text("FULL_DEVICE_NAME"),
            precisions: Precision::ALL.into_iter().filter(is_named).collect(),
            version: text("version"),
        }
    }

    /// Refuses a precision that the device lacks: OpenVINO would compute in another one and not say so.
    pub(crate) fn check_precision(&self, provider: Provider, precision: Precision) -> Result<()> {
        if self.precisions.contains(&precision) {
            return Ok(());
        }
        let names: Vec<&str> = self.precisions.iter().map(|known| known.name()).collect();
        let device = format!("{} (`{}`)", self.name, self.description);
        Err(Error::precision_not_on_device(
            precision.name(),
            &provider.to_string(),
            &device,
            &names.join(", "),
        ))
    }
}

/// ONNX Runtime's name of a plugin provider; `None` for one that is built into ONNX Runtime.
pub(crate) fn execution_provider(provider: Provider) -> Option<&'static str> {
    match provider {
        Provider::Cpu | Provider::Cuda { .. } | Provider::TensorRt { .. } => None,
        Provider::TensorRtRtx { .. } => Some(TENSORRT_RTX),
        Provider::OpenVino { .. } => Some(OPENVINO),
    }
}

/// The devices that a plugin provider finds on this machine; none for another provider. ONNX Runtime must have been
/// loaded ([`runtime::load`]).
///
/// # Errors
/// The plugin is missing or does not load.
pub fn devices(provider: Provider) -> Result<Vec<PluginDevice>> {
    let devices = registered_devices(provider)?;
    Ok(devices.into_iter().map(|(_, device)| device).collect())
}

/// The device of a plugin provider, for a session.
///
/// # Errors
/// The plugin is missing or does not load, or finds no such device.
pub(crate) fn device(provider: Provider) -> Result<(Device<'static>, PluginDevice)> {
    let (kind, fix) = match provider {
        Provider::OpenVino { device } => (device.name().to_uppercase(), driver(device)),
        _ => {
            let number = provider.device().unwrap_or_default().to_string();
            (number, "check `nvidia-smi`, or use the provider `cuda`")
        }
    };
    // Several GPUs are called GPU.0, GPU.1.
    let is_of_kind = |name: &str| name.split('.').next() == Some(kind.as_str());
    let devices = registered_devices(provider)?;
    let found: Vec<String> = devices
        .iter()
        .map(|(_, device)| format!("{} (`{}`)", device.name, device.description))
        .collect();
    devices
        .into_iter()
        .find(|(_, device)| is_of_kind(&device.name))
        .ok_or_else(|| Error::no_device(&provider.to_string(), &kind, &found, fix))
}

/// What OpenVINO needs to see a device.
fn driver(device: OpenVinoDevice) -> &'static str {
    match device {
        OpenVinoDevice::Cpu => "use the provider `cpu`",
        OpenVinoDevice::Gpu => {
            "install Intel's driver for compute (`intel-opencl-icd`), or use the provider `openvino`"
        }
        OpenVinoDevice::Npu => {
            "install Intel's driver for NPUs (`intel-level-zero-npu`), or use the provider `openvino`"
        }
    }
}

fn registered_devices(provider: Provider) -> Result<Vec<(Device<'static>, PluginDevice)>> {
    let Some(name) = execution_provider(provider) else {
        return Ok(Vec::new());
    };
    register(provider)?;
    let own = |device: &Device<'_>| device.ep().is_ok_and(|ep| ep == name);
    let devices = runtime::environment()?.devices().filter(own);
    Ok(devices
        .enumerate()
        .map(|(index, device)| {
            let mut described = PluginDevice::new(&metadata(&device));
            if described.name.is_empty() {
                described.name = index.to_string();
                described.description = device.ep_vendor().unwrap_or_default().to_owned();
            }
            (device, described)
        })
        .collect())
}

/// Registers the plugin's library, once per process.
fn register(provider: Provider) -> Result<()> {
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if registered.contains(&provider.name()) {
        return Ok(());
    }
    let environment = runtime::environment()?;
    let library = runtime::loaded().map(|found| found.path.as_path());
    let readiness = probe::readiness(provider, &SearchPaths::for_runtime(library));
    let path = readiness.plugin.clone();
    readiness.into_result(provider)?;
    let failed = |reason: &str| Error::provider_failed(&provider.to_string(), reason);
    let path = path.ok_or_else(|| failed("its library was not found"))?;
    environment
        .register_ep_library(provider.name(), path)
        .map_err(|error| failed(&chain(&error)))?;
    registered.push(provider.name());
    Ok(())
}

/// What the plugin says about a device.
#[expect(unsafe_code, reason = "C functions without a wrapper")]
fn metadata(device: &Device<'_>) -> BTreeMap<String, String> {
    let (mut keys, mut values, mut count) = (ptr::null(), ptr::null(), 0);
    // SAFETY: the device is the environment's, and so are the texts, which are copied here.
    unsafe {
        let pairs = (ort::api().EpDevice_EpMetadata)(device.ptr());
        if pairs.is_null() {
            return BTreeMap::new();
        }
        (ort::api().GetKeyValuePairs)(pairs, &mut keys, &mut values, &mut count);
        let text = |texts: *const *const c_char, index: usize| {
            CStr::from_ptr(*texts.add(index))
                .to_string_lossy()
                .into_owned()
        };
        (0..count)
            .map(|index| (text(keys, index), text(values, index)))
            .collect()
    }
}

/// The reason in an error of OpenVINO's, without the source lines of its C++ code.
pub(crate) fn reason(error: &str) -> String {
    let is_reason = |line: &&str| !line.is_empty() && !line.contains("Exception from src/");
    let lines: Vec<&str> = error.lines().map(str::trim).filter(is_reason).collect();
    match lines.is_empty() {
        true => error.trim().to_owned(),
        false => lines.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_described_by_its_metadata() {
        let pairs = [
            ("ov_device", "CPU"),
            ("FULL_DEVICE_NAME", "Intel(R) Xeon(R) Processor"),
            (
                "OPTIMIZATION_CAPABILITIES",
                "BF16 WINOGRAD FP32 INT8 BIN EXPORT_IMPORT",
            ),
            ("version", "1.8.1+95d534b.ci.79"),
        ];
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let device = PluginDevice::new(&pairs.map(own).into());
        assert_eq!(device.name, "CPU");
        assert_eq!(
            device.precisions,
            [Precision::Fp32, Precision::Bf16, Precision::Int8]
        );
        let provider: Provider = "openvino".parse().unwrap();
        device.check_precision(provider, Precision::Bf16).unwrap();
        let error = device
            .check_precision(provider, Precision::Fp16)
            .unwrap_err();
        insta::assert_snapshot!(error, @r"
        provider `openvino:cpu` does not compute in fp16 here
          expected: a device that does
          found:    CPU (`Intel(R) Xeon(R) Processor`): fp32, bf16, int8
        ");
    }

    #[test]
    fn a_reason_has_no_source_lines() {
        let text = "Exception from src/inference/src/cpp/core.cpp:117:\nException from src/inference/src/dev/plugin.cpp:54:\n\
                    Wrong value x for property key INFERENCE_PRECISION_HINT.\n\n";
        assert_eq!(
            reason(text),
            "Wrong value x for property key INFERENCE_PRECISION_HINT."
        );
        assert_eq!(reason("no memory"), "no memory");
    }
}
