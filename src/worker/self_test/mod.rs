//! `self-test`: whether this device computes what an independent implementation computes. Pictures
//! and expected values are compiled in, so that an installed program can test itself anywhere.

mod comparison;
pub mod frame_checks;
pub mod golden_set;
mod training_check;

use surgcam_engine::error::{Error, Result};
use surgcam_pipeline::kinds::SelfTestStage;
use surgcam_values::Precision;
use tch::{Device, Tensor};

use frame_checks::{
    HalfPrecision, Heat, by_frame_statistics, in_full_precision, in_half_precision,
};
use golden_set::GoldenSet;

use crate::stages::{KindRun, Make};

/// A ResNet-18 at 192x256 with 9 classes.
const EXPECTED: &str = include_str!("../../../tests/golden/small/expected.json");
const TENSORS: &[u8] = include_bytes!("../../../tests/golden/small/expected.safetensors");
const FRAME_STATISTICS: &[u8] =
    include_bytes!("../../../tests/golden/small/frame_statistics.safetensors");
const TRAINING: &str = include_str!("../../../tests/golden/training_small.json");

const HALF_PRECISIONS: [HalfPrecision; 2] = [
    HalfPrecision { precision: Precision::Bf16, heat: 0.08, features: 0.03 },
    HalfPrecision { precision: Precision::F16, heat: 0.01, features: 0.01 },
];

impl Make for SelfTestStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let device = stage.worker.device;
        let parts = 3 + HALF_PRECISIONS.len();
        let mut checks = in_full_precision(&compiled_in(device, Precision::F32)?, Heat::Expected)?;
        stage.progress(1, parts, "parts")?;
        let golden = compiled_in(device, Precision::F32)?
            .by_frame_statistics(tensors_of(FRAME_STATISTICS)?)?;
        checks.extend(by_frame_statistics(&golden)?);
        stage.progress(2, parts, "parts")?;
        checks.extend(training_check::check(TRAINING, device)?);
        stage.progress(3, parts, "parts")?;
        for (part, half) in HALF_PRECISIONS.into_iter().enumerate() {
            checks.extend(in_half_precision(
                &compiled_in(device, half.precision)?,
                half,
                Heat::Expected,
            )?);
            stage.progress(4 + part, parts, "parts")?;
        }
        stage.write_metrics(&checks)
    }
}

fn compiled_in(device: Device, precision: Precision) -> Result<GoldenSet> {
    GoldenSet::new(EXPECTED, tensors_of(TENSORS)?, device, precision)
}

/// The tensors of a safetensors file in memory.
fn tensors_of(bytes: &[u8]) -> Result<Vec<(String, Tensor)>> {
    let broken = |problem: &dyn std::fmt::Display| {
        Error::failure(format!("the golden values cannot be read: {problem}"))
    };
    let file = safetensors::SafeTensors::deserialize(bytes).map_err(|problem| broken(&problem))?;
    let tensor = |(name, view): (String, safetensors::tensor::TensorView)| {
        let kind = match view.dtype() {
            safetensors::Dtype::F32 => tch::Kind::Float,
            safetensors::Dtype::U8 => tch::Kind::Uint8,
            other => return Err(broken(&format!("{name} is of the kind {other:?}"))),
        };
        let size: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &size, kind)
            .map_err(|problem| broken(&problem))?;
        Ok((name, tensor))
    };
    file.tensors().into_iter().map(tensor).collect()
}
