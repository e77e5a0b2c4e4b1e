//! `surgcam store`: one file for each subcommand, and what several of them share.

mod check_kind;
mod gc;
mod list;
mod pull;
mod push;
mod readable;
mod size;
mod transfer;
mod verify;
mod why;

use super::context::Context;
use surgcam_engine::error::Result;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List finished stages: kind, name, size, age
    Ls(list::Arguments),
    /// Show how much disk space each kind of stage takes
    Size,
    /// Read every object and compare it with its digest
    ///
    /// A broken object is moved to quarantine/, and the next run makes it again.
    Verify,
    /// Remove what neither the last runs nor any experiment needs
    Gc(gc::Arguments),
    /// Explain a digest or key: which stage made it, from which inputs, and which stages use it
    Why(why::Arguments),
    /// Copy finished stages to a folder or to s3://bucket/prefix
    Push(push::Arguments),
    /// Copy finished stages from a folder or from s3://bucket/prefix
    Pull(pull::Arguments),
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    match &arguments.action {
        Action::Ls(arguments) => list::execute(&Context::plain()?.store()?, arguments),
        Action::Size => size::execute(&Context::plain()?.store()?),
        Action::Verify => verify::execute(&Context::plain()?.store()?),
        Action::Gc(arguments) => gc::execute(&Context::plain()?, arguments),
        Action::Why(arguments) => why::execute(&Context::plain()?.store()?, arguments),
        Action::Push(arguments) => push::execute(arguments),
        Action::Pull(arguments) => pull::execute(arguments),
    }
}
