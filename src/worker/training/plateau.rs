//! ReduceLROnPlateau (mode min, relative threshold), as PyTorch's.

use surgcam::pipeline::stages::Plateau;

#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    settings: Plateau,
    pub learning_rate: f64,
    best: f64,
    bad_epochs: u32,
}

/// A smaller step than this is not taken.
const SMALLEST_STEP: f64 = 1e-8;

impl Schedule {
    pub fn new(learning_rate: f64, settings: Plateau) -> Self {
        Schedule { settings, learning_rate, best: f64::INFINITY, bad_epochs: 0 }
    }

    /// After an epoch, with its validation loss.
    pub fn step(&mut self, loss: f64) {
        if loss < self.best * (1.0 - self.settings.threshold) {
            self.best = loss;
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.bad_epochs > self.settings.patience {
            let lower = self.learning_rate * self.settings.factor;
            if self.learning_rate - lower > SMALLEST_STEP {
                self.learning_rate = lower;
            }
            self.bad_epochs = 0;
        }
    }
}
