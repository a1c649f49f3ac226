//! The device that a network is trained on, opened. It knows no network and no other setting.

use burn::tensor::Device;
use console::Printer;

use crate::error::{Error, Result};
use crate::recipe::{DeviceKind, PrecisionKind, Recipe};

/// Burn's device.
///
/// # Errors
/// When the cargo feature of that device was off, or the machine has no such device.
pub fn open(kind: DeviceKind) -> Result<Device> {
    match kind {
        DeviceKind::Cpu => Ok(Device::flex()),
        #[cfg(feature = "cuda")]
        DeviceKind::Cuda => cuda(),
        #[cfg(not(feature = "cuda"))]
        DeviceKind::Cuda => Err(not_built("cuda")),
        #[cfg(feature = "wgpu")]
        DeviceKind::Wgpu => wgpu::open().map(|_| wgpu::device()),
        #[cfg(not(feature = "wgpu"))]
        DeviceKind::Wgpu => Err(not_built("wgpu")),
    }
}

/// Opens the device that a recipe names and logs its name and driver, where it is not the CPU, and what multiplies bf16.
///
/// # Errors
/// As [`open`], and when the device does not train in the recipe's precision.
pub fn announce(recipe: &Recipe, printer: &Printer) -> Result<()> {
    let kind = recipe.device;
    open(kind)?;
    if recipe.precision == PrecisionKind::Bf16 {
        let unit = bf16_unit(kind, kernels::bf16_unit())?;
        printer.log(format!("training in bf16 by {unit}"));
    }
    #[cfg(feature = "wgpu")]
    if kind == DeviceKind::Wgpu {
        wgpu::open()?.log(printer);
    }
    // The other devices have nothing to say.
    let _ = printer;
    Ok(())
}

/// What multiplies bf16 on a device, where `unit` is that of the processor.
fn bf16_unit(kind: DeviceKind, unit: Option<&'static str>) -> Result<&'static str> {
    let hint = "leave out `--precision bf16`";
    if kind != DeviceKind::Cpu {
        let what = "`--precision bf16` is for `--device cpu`";
        return Err(Error::refused_with_hint(what, hint));
    }
    unit.ok_or_else(|| {
        let what = "`--precision bf16`: this processor has neither AMX nor AVX-512's bf16 products";
        Error::refused_with_hint(what, hint)
    })
}

#[cfg(not(all(feature = "cuda", feature = "wgpu")))]
fn not_built(device: &str) -> Error {
    Error::refused_with_hint(
        format!("this build of `trainer` cannot train on `{device}`"),
        format!("build it with `cargo build --release -p trainer --features {device}`"),
    )
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device> {
    // Burn opens the device at the first tensor, and panics where there is none.
    match burn::tensor::Device::enumerate(burn::tensor::DeviceType::Cuda).is_empty() {
        false => Ok(Device::cuda(0)),
        true => Err(Error::refused_with_hint(
            "`--device cuda` found no NVIDIA GPU, or not its driver `libcuda.so.1`",
            "`deploy doctor --provider cuda` says what is missing; `--device cpu` needs no GPU",
        )),
    }
}

#[cfg(feature = "wgpu")]
mod wgpu {
    use std::sync::OnceLock;

    use burn::tensor::wgpu::wgpu::{AdapterInfo, DeviceType};

    use super::{Device, Error, Printer, Result};

    /// The adapter that Burn computes on.
    pub(super) struct Adapter(AdapterInfo);

    pub(super) fn device() -> Device {
        Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)
    }

    /// Opens the adapter, once: Burn refuses to open one again.
    pub(super) fn open() -> Result<&'static Adapter> {
        static ADAPTER: OnceLock<std::result::Result<Adapter, String>> = OnceLock::new();
        let opened = ADAPTER.get_or_init(|| {
            // Otherwise Burn would open it at the first tensor, and panic where there is none.
            let opened = Device::wgpu_options().init_with_setup();
            let (_, setup) = opened.map_err(|error| error.to_string())?;
            Ok(Adapter(setup.adapter.get_info()))
        });
        opened.as_ref().map_err(|error| {
            Error::refused_with_hint(
                format!("`--device wgpu` found no GPU that it can use: {error}"),
                "install the GPU's Vulkan driver (Debian, Ubuntu: `mesa-vulkan-drivers` for AMD and Intel, which \
                 also computes without a GPU; NVIDIA's own driver brings it), or train with `--device cpu`",
            )
        })
    }

    impl Adapter {
        pub(super) fn log(&self, printer: &Printer) {
            let AdapterInfo {
                name,
                backend,
                driver,
                driver_info,
                device_type,
                ..
            } = &self.0;
            printer.log(format!(
                "training on {name} through {backend} (driver {driver} {driver_info})"
            ));
            if *device_type == DeviceType::Cpu {
                printer.warn(format!(
                    "`--device wgpu` found no GPU: {name} computes on the processor, slower than `--device cpu`"
                ));
            }
        }
    }
}

#[cfg(all(test, not(feature = "cuda"), not(feature = "wgpu")))]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_the_build_lacks_is_refused_with_the_command_that_builds_it() {
        for (kind, name) in [(DeviceKind::Cuda, "cuda"), (DeviceKind::Wgpu, "wgpu")] {
            let error = open(kind).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("this build of `trainer` cannot train on `{name}`")
            );
            let hint = error.hint().unwrap();
            assert!(hint.ends_with(&format!("--features {name}`")), "{hint}");
        }
        open(DeviceKind::Cpu).unwrap();
    }

    #[test]
    fn bf16_is_refused_where_nothing_multiplies_it() {
        let unit = |kind, unit| bf16_unit(kind, unit).map_err(|error| error.to_string());
        assert_eq!(unit(DeviceKind::Cpu, Some("AMX")).unwrap(), "AMX");
        let error = unit(DeviceKind::Cpu, None).unwrap_err();
        assert!(error.contains("neither AMX nor"), "{error}");
        let error = unit(DeviceKind::Wgpu, Some("AMX")).unwrap_err();
        assert!(error.contains("is for `--device cpu`"), "{error}");
    }
}
