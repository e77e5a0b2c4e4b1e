//! The program as a user meets it: second runs, changed values, mistakes, interruptions, and data
//! that cannot be used as they are.

mod bad_data;
mod boxes;
mod mistakes;
mod runs;
mod view;
