//! Surgical data sets: from the folders that users have to one list of frames, and to one file with
//! the pixels of all frames.
//!
//! Each of these modules uses only those above it:
//!
//! * [`labels`] has the label spaces, whose class names are declared in recipes and not in code.
//! * [`label_file`] limits the size of label files. [`delimited`] reads text files of columns,
//!   [`fields`] reads their single fields, `corner_columns` reads their boxes, `xml_file` parses
//!   XML, `json_values` reads the values of JSON files, and `cholect50_file` reads the JSON of
//!   CholecT50.
//! * `names` checks the names of sequences and frames, because exports make folders of them.
//! * [`frame`] has the entries of an index, which are written as [`json_lines`].
//! * [`boxes`] checks the boxes that people drew against the pictures.
//! * [`folder`] is the folder of a data set, in which the [`pattern`]s of a recipe find files.
//! * [`raw`] has the trait [`raw::Adapter`] and what adapters read. [`adapters`] has a reader for
//!   each layout.
//! * [`source`] has the layout and the patterns of a recipe, and the list of the files that the
//!   digest of the data covers.
//! * [`annotations`] reads what is known of the frames for the downstream tasks: captions and
//!   interactions.
//! * [`index`] puts it all together: frames with labels and boxes, and the list of their pictures.
//!
//! These modules are beside them:
//!
//! * [`detections`] reads the boxes that a detector found in the frames of an index.
//! * [`sample`] draws scenes and writes them in the layouts of EndoVis18 and Cholec80.
//! * [`pack`] decodes and resizes each picture once and writes the pixels to one mapped file.
//! * [`augment`] changes training frames at random.
//! * [`check`] looks at a folder before anything is trained: it proposes a recipe and tells what is
//!   wrong.

pub mod adapters;
pub mod annotations;
pub mod augment;
pub mod boxes;
pub mod check;
mod cholect50_file;
mod corner_columns;
pub mod delimited;
pub mod detections;
pub mod fields;
pub mod folder;
pub mod frame;
pub mod index;
pub mod json_lines;
mod json_values;
pub mod label_file;
pub mod labels;
mod names;
pub mod pack;
pub mod pattern;
pub mod raw;
pub mod sample;
pub mod source;
mod xml_file;
