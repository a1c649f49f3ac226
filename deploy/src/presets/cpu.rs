//! The CPU's options: threads, spinning, and sums of 8-bit products that do not overflow. Knows no graph.

use machine::Provider;
use ort::environment::Environment;
use ort::ep::{CPU, ExecutionProvider};
use ort::session::builder::SessionBuilder;

use crate::options::SessionOptions;

/// Sets the options of the CPU, which is part of every session.
pub(crate) fn configure(
    builder: SessionBuilder,
    options: &SessionOptions,
) -> ort::Result<SessionBuilder> {
    // Beside another provider the CPU computes nothing but shapes, unless more may fall back to it.
    let is_beside = options.provider != Provider::Cpu && !options.allow_fallback;
    // OpenVINO has threads of its own.
    let own = options
        .threads
        .filter(|_| !is_beside || options.provider.needs_cuda());
    let builder = match own.or(is_beside.then_some(1)) {
        // Its own, even where the process has threads that sessions share.
        Some(threads) => builder
            .with_independent_thread_pool()?
            .with_intra_threads(threads)?,
        None => builder,
    };
    let builder = builder.with_intra_op_spinning(options.spinning)?;
    let needs_precise_sums = options.provider == Provider::Cpu && products_overflow();
    Ok(if needs_precise_sums {
        builder.with_precise_qmm()?
    } else {
        builder
    })
}

/// Selects the CPU provider by name. Where no provider was added, `ort` lets ONNX Runtime choose one, and that may be a
/// plugin that is registered for other sessions.
pub(crate) fn select(
    builder: SessionBuilder,
    environment: &Environment,
) -> ort::Result<SessionBuilder> {
    let mut devices = environment.devices();
    let cpu = devices.find(|device| device.ep().is_ok_and(|name| name == CPU::NAME));
    Ok(builder.with_devices(cpu, None)?)
}

/// Whether this processor adds products of bytes in pairs as 16-bit numbers, which overflow: x86 without VNNI
/// (`vpmaddubsw`). ONNX Runtime has a slower mode that does not overflow.
fn products_overflow() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        !(is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
