//! Calls the programs of Slurm. They are looked for on the PATH, each call has a time limit, and an
//! error says what the program said. Environment variables that would change what a call does are
//! not passed on.

use std::io::{ErrorKind, Read};
use std::process::{Child, Command, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// A controller that is busy, or that is just starting, may take minutes to answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// A longer answer is cut off. The queue of a large cluster is shorter than this.
const LONGEST_ANSWER: u64 = 64 << 20;

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Answer {
    pub succeeded: bool,
    pub out: String,
    pub err: String,
}

/// Runs a program to its end, whatever its exit code.
pub fn ask(program: &str, arguments: &[String]) -> Result<Answer> {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(misleads) {
            command.env_remove(&name);
        }
    }
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(program, &error))?;
    let out = child.stdout.take().map(read_aside);
    let err = child.stderr.take().map(read_aside);
    let succeeded = wait(program, &mut child)?;
    Ok(Answer { succeeded, out: text(out), err: text(err) })
}

/// Variables that describe the job in which this process runs, by the beginnings of their names.
/// `sbatch` would hand them on to a new job, which would take them for its own. It would think that
/// it is a task of an array, for example, or that it was put back into the queue before.
const OF_THIS_JOB: [&str; 7] = [
    "SLURM_ARRAY_",
    "SLURM_CPUS_",
    "SLURM_JOB",
    "SLURM_MEM_",
    "SLURM_RESTART_COUNT",
    "SLURM_STEP_",
    "SLURM_TASK",
];

/// Variables with which people change what the programs print or wait for when they call them
/// themselves. Defaults for new jobs, such as `SBATCH_ACCOUNT`, are not among them.
const OF_PEOPLE: [&str; 5] = ["SACCT_", "SBATCH_ARRAY_INX", "SBATCH_WAIT", "SCANCEL_", "SQUEUE_"];

/// Whether a variable of this name would change what a call means.
fn misleads(name: &str) -> bool {
    OF_THIS_JOB.iter().chain(&OF_PEOPLE).any(|beginning| name.starts_with(beginning))
}

/// Runs a program that must succeed, and gives what it printed.
pub fn expect(program: &str, arguments: &[String]) -> Result<String> {
    let answer = ask(program, arguments)?;
    if answer.succeeded { Ok(answer.out) } else { Err(refused(program, &answer)) }
}

/// The error of a program that failed, with what it said.
pub fn refused(program: &str, answer: &Answer) -> Error {
    let said = if answer.err.trim().is_empty() { &answer.out } else { &answer.err };
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Error::failure(format!("{program} failed: {}", shortened(said.join("; "))))
}

fn cannot_start(program: &str, error: &std::io::Error) -> Error {
    let failure = Error::failure(format!("cannot start {program}: {error}"));
    match error.kind() {
        ErrorKind::NotFound => failure.hint(
            "Slurm's programs are looked for on the PATH; on many clusters only login nodes have \
             them",
        ),
        _ => failure,
    }
}

/// Whether it ended with exit code 0.
fn wait(program: &str, child: &mut Child) -> Result<bool> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if begun.elapsed() < PATIENCE => sleep(pause),
            Ok(None) => {
                // It may have ended just now.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::failure(format!(
                    "{program} did not answer within {} seconds",
                    PATIENCE.as_secs()
                ))
                .hint("the controller of the cluster may be down; `scontrol ping` tells"));
            }
            Err(error) => {
                return Err(Error::failure(format!("cannot wait for {program}: {error}")));
            }
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Reads a pipe to its end on a thread of its own, so that the program never waits for a reader.
fn read_aside(pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is the answer.
        let _ = pipe.take(LONGEST_ANSWER).read_to_end(&mut bytes);
        bytes
    })
}

fn text(reader: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<String> {
        vec!["-c".into(), script.into()]
    }

    #[test]
    fn what_describes_this_job_or_filters_an_answer_is_kept_from_the_programs() {
        for name in ["SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SQUEUE_USERS"] {
            assert!(misleads(name), "{name}");
        }
        for name in ["SLURM_CONF", "SLURM_CLUSTERS", "SBATCH_ACCOUNT", "PATH"] {
            assert!(!misleads(name), "{name}");
        }
    }

    #[test]
    fn an_error_says_what_the_program_said() {
        assert_eq!(expect("sh", &shell("echo 12; echo noise >&2")).unwrap(), "12\n");
        let error = expect("sh", &shell("echo out; echo 'no such partition' >&2; exit 3"));
        assert!(error.unwrap_err().to_string().contains("sh failed: no such partition"));
        let error = expect("surgcam-has-no-such-program", &[]).unwrap_err().to_string();
        assert!(error.contains("cannot start") && error.contains("PATH"), "{error}");
    }
}
