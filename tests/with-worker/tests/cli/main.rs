//! The program as a user meets it: second runs, changed values, mistakes, interruptions.

mod bad_data;
mod boxes;
mod mistakes;
mod runs;
mod view;
