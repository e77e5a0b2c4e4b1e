//! What a training step costs: with its batch on the device already, and with all that brings it
//! there.

use std::cell::RefCell;
use std::path::Path;

use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::augment::Augmentation;
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::dataset::pack::Pack;
use surgcam_pipeline::kinds::BenchmarkStage;
use tch::{Device, Tensor};

use super::{NORMALIZATION, Step, step};
use crate::frame_set::{FrameSet, label_tensor};
use crate::model::half_precision::kind_of;
use crate::model::resnet::ResNet;
use crate::model::weights::Weights;
use crate::training::batches::{Batching, TrainFrames};
use crate::training::multi_label_soft_margin;
use crate::training::sgd::Sgd;

/// Steps from a pack that are measured together: in a training the batches of the first steps alone
/// are waited for.
fn steps_together(device: Device) -> usize {
    if device.is_cuda() { 32 } else { 2 }
}

pub struct Trainer {
    network: ResNet,
    optimizer: Sgd,
    frames: TrainFrames,
    batch_size: usize,
    classes: usize,
    device: Device,
    /// Images and labels that lie on the device.
    ready: Option<(Tensor, Tensor)>,
}

impl Trainer {
    /// `frame`: what every picture of the pack is taken for.
    pub fn new(
        parameters: &BenchmarkStage,
        weights: &Weights,
        pack: &Path,
        frame: &Frame,
        device: Device,
    ) -> Result<Self> {
        let trained = weights.for_training(device);
        let network = ResNet::new(parameters.architecture, &trained)?
            .counting_in(kind_of(parameters.precision));
        let pack = Pack::open(pack)?;
        let count = pack.manifest.count;
        let set =
            FrameSet { pack, frames: vec![frame.clone(); count], usable: (0..count).collect() };
        let frames = TrainFrames::repeated(set, parameters.training_batch * steps_together(device));
        Ok(Trainer {
            optimizer: Sgd::new(&trained, 0.9, 1e-4),
            network,
            frames,
            batch_size: parameters.training_batch,
            classes: parameters.architecture.classes,
            device,
            ready: None,
        })
    }

    /// A step on a batch that lies on the device.
    fn step(&mut self) -> Result<()> {
        let (images, labels) = match self.ready.take() {
            Some(ready) => ready,
            None => self.first_batch()?,
        };
        let loss = self.step_on(&images, &labels)?;
        self.ready = Some((images, labels));
        wait_for(&loss)
    }

    fn first_batch(&self) -> Result<(Tensor, Tensor)> {
        let set = &self.frames.parts[0];
        let rows: Vec<usize> =
            (0..self.batch_size).map(|number| number % set.usable.len()).collect();
        let labels = label_tensor(
            rows.iter().map(|&row| set.frames[row].labels.as_slice()),
            self.classes,
            self.device,
        )?;
        Ok((set.images(&rows, &NORMALIZATION, self.device), labels))
    }

    /// Steps as a training makes them: batches are augmented ahead by other threads, uploaded and
    /// normalised.
    fn steps_from_packs(&mut self, epoch: usize) -> Result<()> {
        let batching = Batching {
            seed: 1,
            batch_size: self.batch_size,
            augmentation: Augmentation::PAPER,
            device: self.device,
        };
        let Trainer { network, optimizer, frames, classes, device, .. } = self;
        let mut last = None;
        frames.for_each_batch(&batching, epoch, |_, batch| {
            let images = batch.pixels.images(&NORMALIZATION, *device);
            let labels = label_tensor(batch.labels, *classes, *device)?;
            last = Some(train(network, optimizer, &images, &labels)?);
            Ok(())
        })?;
        last.as_ref().map_or(Ok(()), wait_for)
    }

    fn step_on(&mut self, images: &Tensor, labels: &Tensor) -> Result<Tensor> {
        train(&self.network, &mut self.optimizer, images, labels)
    }
}

fn train(
    network: &ResNet,
    optimizer: &mut Sgd,
    images: &Tensor,
    labels: &Tensor,
) -> Result<Tensor> {
    let layer4 = network.feature_maps(images, true).layer4;
    let loss = multi_label_soft_margin(&network.logits(&layer4, 0.0, true), labels);
    optimizer.step(&loss, 1e-3)?;
    Ok(loss.detach())
}

/// Asking for the loss waits for the device.
fn wait_for(loss: &Tensor) -> Result<()> {
    let loss = f64::try_from(loss).unwrap_or(f64::NAN);
    if loss.is_finite() { Ok(()) } else { Err(Error::failure("the loss is not a number any more")) }
}

/// The two steps that are measured.
pub fn steps(trainer: &RefCell<Trainer>) -> Vec<Step<'_>> {
    let (batch_size, device) = (trainer.borrow().batch_size, trainer.borrow().device);
    vec![
        step("training step", batch_size, move |_| trainer.borrow_mut().step()),
        step("training step, from packs", batch_size, move |number| {
            trainer.borrow_mut().steps_from_packs(number)
        })
        .working_on(batch_size * steps_together(device)),
    ]
}
