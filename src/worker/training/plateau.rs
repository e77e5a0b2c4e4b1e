//! ReduceLROnPlateau (mode min, relative threshold), as PyTorch's.

use serde::{Deserialize, Serialize};
use surgcam_pipeline::settings::Plateau;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    settings: Plateau,
    pub learning_rate: f64,
    /// Absent before the first epoch.
    best: Option<f64>,
    bad_epochs: u32,
}

/// A smaller step than this is not taken.
const SMALLEST_STEP: f64 = 1e-8;

impl Schedule {
    pub fn new(learning_rate: f64, settings: Plateau) -> Self {
        Schedule { settings, learning_rate, best: None, bad_epochs: 0 }
    }

    /// After an epoch, with its validation loss.
    pub fn step(&mut self, loss: f64) {
        if self.best.is_none_or(|best| loss < best * (1.0 - self.settings.threshold)) {
            self.best = Some(loss);
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
