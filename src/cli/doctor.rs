//! `surgcam doctor`: what this machine has, and whether its device computes correctly.

use serde::Serialize;

use super::context::Context;
use super::transient;
use super::{Overrides, WorkerOptions};
use crate::report::progress::OnlyWaiting;
use crate::report::result_table::{ResultTable, TableColumn};
use crate::report::{printer, terminal_table};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::kind::HasMetrics;
use surgcam_engine::plan::{NewStage, Resource};
use surgcam_engine::protocol::{Cuda, Hello, Part};
use surgcam_engine::runner::identity;
use surgcam_engine::store::read_json;
use surgcam_frames::metrics::SelfTestCheck;
use surgcam_pipeline::kinds::SelfTestStage;
use surgcam_recipe::settings;

#[derive(clap::Args)]
pub struct Arguments {
    /// Compare heat maps, boxes, features and training steps of the device with expected values
    #[arg(long)]
    self_test: bool,
    /// Print the self-test's result as JSON
    #[arg(long, requires = "self_test")]
    json: bool,
    #[command(flatten)]
    workers: WorkerOptions,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    if arguments.self_test {
        return self_test(arguments);
    }
    line("surgcam", env!("CARGO_PKG_VERSION"))?;
    // Whether surgcam works on this machine is asked before there is a project, too.
    let folder = temporary_folder()?;
    let context = if settings::find_project(None).is_ok() {
        tell_project(arguments)?
    } else {
        line("project", "none here or above; `surgcam init DIR` makes one")?;
        Context::with_temporary_store(folder.path(), &arguments.workers)?
    };
    let store = context.store()?;
    let command = context.workers()?.remove(0);
    line("worker", command.program.display())?;
    if let Some(libtorch) = &command.libtorch {
        let found = libtorch.find()?;
        line(
            "libtorch",
            format!("{} in {} ({})", found.version, found.folder.display(), found.found_by),
        )?;
    }
    let hello = identity::ask(&command, &store)?;
    line("device", format!("{} ({}), {} threads", hello.device, hello.device_name, hello.threads))?;
    match &hello.cuda {
        Some(cuda) => tell_cuda(cuda),
        None => line("CUDA", "not checked: the device is cpu"),
    }
}

fn tell_project(arguments: &Arguments) -> Result<Context> {
    let context = Context::new(None, &Overrides::default(), &arguments.workers)?;
    line("project", context.project.display())?;
    line("store", context.store()?.root().display())?;
    line("results", context.results_folder("").display())?;
    Ok(context)
}

fn temporary_folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir()
        .map_err(|error| Error::failure(format!("cannot make a working folder: {error}")))
}

fn line(name: &str, value: impl std::fmt::Display) -> Result<()> {
    printer::line(&format!("{name:<10} {value}"))
}

fn tell_cuda(cuda: &Cuda) -> Result<()> {
    let part = |part: &Part| match part {
        Part::Found(what) => format!("found: {what}"),
        Part::Missing(why) => format!("missing: {why}"),
    };
    line("driver", part(&cuda.driver))?;
    line("library", part(&cuda.library))?;
    match cuda.missing() {
        None => line("CUDA", format!("{} devices", cuda.devices)),
        Some(missing) => {
            let hint = missing.hint_text().map_or(String::new(), |hint| format!("; {hint}"));
            line("CUDA", format!("no device: {}{hint}", missing.what()))
        }
    }
}

/// The result as `--json` prints it.
#[derive(Serialize)]
struct SelfTest<'a> {
    device: &'a str,
    device_name: &'a str,
    libtorch: &'a str,
    passed: bool,
    checks: &'a [SelfTestCheck],
}

/// The self-test has a temporary store, so that an installed program can be tested anywhere.
fn self_test(arguments: &Arguments) -> Result<()> {
    let folder = temporary_folder()?;
    let context = Context::with_temporary_store(folder.path(), &arguments.workers)?;
    let stage = NewStage::new("self-test".into(), &SelfTestStage {}, NoInputs, Resource::Device);
    let (hello, found) =
        transient::make(&context, stage, SelfTestStage::METRICS, &mut OnlyWaiting)?;
    let checks: Vec<SelfTestCheck> = read_json(&found)?;
    let failed = checks.iter().filter(|check| !check.passed).count();
    if arguments.json {
        let result = SelfTest {
            device: &hello.device,
            device_name: &hello.device_name,
            libtorch: &hello.libtorch,
            passed: failed == 0,
            checks: &checks,
        };
        let text = serde_json::to_string_pretty(&result)
            .map_err(|error| Error::failure(format!("cannot print the result: {error}")))?;
        printer::lines(&text)?;
    } else {
        printer::lines(&terminal_table::draw(&table(&hello, &checks), printer::data_width()))?;
        printer::line(if failed == 0 { "passed" } else { "failed" })?;
    }
    if failed == 0 {
        return Ok(());
    }
    let what = format!(
        "the self-test failed: {failed} of {} checks differ by more than their tolerance",
        checks.len()
    );
    Err(Error::failure(what).hint(format!(
        "results of {} cannot be trusted; try another driver or libtorch, \
         or use `--device cpu`, which is the reference",
        hello.device
    )))
}

fn table(hello: &Hello, checks: &[SelfTestCheck]) -> ResultTable {
    let text = |value: fn(&SelfTestCheck) -> String| {
        checks.iter().map(|check| Some(value(check))).collect()
    };
    ResultTable {
        name: "self-test".into(),
        title: format!(
            "Self-test: {} ({}), libtorch {}",
            hello.device, hello.device_name, hello.libtorch
        ),
        columns: vec![
            TableColumn::text("check", text(|check| check.check.clone())),
            TableColumn::text("precision", text(|check| check.precision.name().into())),
            TableColumn::count(
                "compared",
                checks.iter().map(|check| Some(check.compared as i64)).collect(),
            ),
            TableColumn::text(
                "largest difference",
                text(|check| format!("{:.1e}", check.largest_difference)),
            ),
            TableColumn::text("tolerance", text(|check| check.tolerance.clone())),
            TableColumn::text(
                "result",
                text(|check| if check.passed { "passed".into() } else { "failed".into() }),
            ),
        ],
        notes: vec![
            "the expected values are those of an independent implementation (tests/golden)".into(),
        ],
        ..Default::default()
    }
}
