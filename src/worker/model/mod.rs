//! The classifier: its shape, its weights by torchvision's names, and the files they come in.

pub mod checkpoint;
pub mod classifier;
pub mod classifier_head;
pub mod clips;
pub mod frame_statistics;
pub mod fused_convolution;
#[cfg(test)]
pub mod fuzz;
pub mod half_precision;
pub mod inference;
pub mod inference_layers;
pub mod libtorch_operators;
pub mod lstm;
pub mod network_shape;
mod pickle;
mod pytorch_file;
mod recorded_passes;
pub mod resnet;
mod safetensors_file;
mod wanted;
pub mod weights;
