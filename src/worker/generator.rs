//! Torch's generator of random numbers. A process has only one, so code that seeds it holds it
//! until its numbers are drawn.

use parking_lot::{ReentrantMutex, ReentrantMutexGuard};

static GENERATOR: ReentrantMutex<()> = ReentrantMutex::new(());

/// While the returned value lives, the draws of this thread depend only on the seed.
#[must_use = "others may draw in between as soon as this is dropped"]
pub fn seeded(seed: i64) -> ReentrantMutexGuard<'static, ()> {
    let kept = GENERATOR.lock();
    tch::manual_seed(seed);
    kept
}

/// [`seeded`], by a step of training.
#[must_use = "others may draw in between as soon as this is dropped"]
pub fn seeded_step(seed: u64, epoch: usize, step: usize) -> ReentrantMutexGuard<'static, ()> {
    seeded((seed as i64) << 32 ^ (epoch as i64) << 16 ^ step as i64)
}
