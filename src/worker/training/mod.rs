//! Everything that training needs besides the network: the loop over epochs, batches, the loss,
//! optimizers, the schedule of the learning rate, and the state for resuming.

pub mod adam;
pub mod batches;
pub mod epochs;
pub mod heads;
pub mod plateau;
mod resume;
pub mod sgd;
mod snapshot;
pub mod trainable;

use tch::Tensor;

/// PyTorch's MultiLabelSoftMarginLoss: the mean over classes and samples of binary cross-entropy on
/// logits. Both [N, classes].
pub fn multi_label_soft_margin(logits: &Tensor, labels: &Tensor) -> Tensor {
    let absent: Tensor = 1.0 - labels;
    let loss: Tensor = labels * logits.log_sigmoid() + absent * (-logits).log_sigmoid();
    -loss.mean(tch::Kind::Float)
}
