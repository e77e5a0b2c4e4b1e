//! Surgical data sets: from the folders that users have to one list of frames, and to one packed file of pixels.
//!
//! * [`endovis18`] and [`cholec80`] read a layout; [`sample`] draws scenes and writes them in either layout.
//! * [`labels`] holds the label spaces: class names are declared in recipes, not in code.
//! * [`index`] is what every adapter yields: frames with labels and boxes, and the list of their pictures.
//! * [`pack`] decodes and resizes each picture once into a mapped file.
//! * [`augment`] is the training transform.

pub mod augment;
pub mod cholec80;
pub mod endovis18;
pub mod index;
pub mod labels;
pub mod pack;
pub mod pattern;
pub mod sample;
