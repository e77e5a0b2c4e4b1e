//! A run as its file tells it.

use serde::{Deserialize, Serialize};

use crate::store::digest::Digest;
use crate::store::format::Formatted;
use crate::store::key::StageKey;
use crate::store::record::PeakMemory;

pub const FORMAT: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub format: u32,
    pub id: String,
    pub experiment: String,
    /// The command line.
    pub command: Vec<String>,
    /// Absent in older runs; see [`Run::scope`].
    #[serde(default)]
    pub scope: Option<Scope>,
    /// RFC 3339, UTC.
    pub started: String,
    pub seconds: f64,
    pub state: RunState,
    pub plan: Digest,
    pub executed: Vec<ExecutedStage>,
    pub cached: usize,
    pub failed: Vec<FailedStage>,
    pub surgcam: String,
    pub host: String,
}

impl Formatted for Run {
    const WHAT: &'static str = "run";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }
}

impl Run {
    pub fn scope(&self) -> Scope {
        self.scope.unwrap_or(match self.command.get(1).map(String::as_str) {
            Some("view" | "export") => Scope::Part,
            _ => Scope::Whole,
        })
    }

    /// The command line, quoted for a shell.
    pub fn command_line(&self) -> String {
        let quoted = shlex::try_join(self.command.iter().map(String::as_str));
        // Only a null character cannot be quoted, and no argument of a process contains one.
        quoted.unwrap_or_else(|_| self.command.join(" "))
    }

    /// How many stages ran and failed. Stages that needed one of them do not count.
    pub fn failures(&self) -> usize {
        self.failed.iter().filter(|failed| !failed.blocked).count()
    }
}

/// How much of its experiment a run was asked to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything that its tables need: `surgcam run`.
    Whole,
    /// What one export needs.
    Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    Running,
    Done,
    Failed,
    Interrupted,
    /// Its file says that it is running, but nobody holds its lock.
    Killed,
    /// Its jobs were handed to a cluster, and the last of them has not ended it yet.
    Submitted,
}

impl RunState {
    pub fn name(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Done => "done",
            RunState::Failed => "failed",
            RunState::Interrupted => "interrupted",
            RunState::Killed => "killed",
            RunState::Submitted => "submitted",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecutedStage {
    pub stage: String,
    pub kind: String,
    pub key: StageKey,
    pub seconds: f64,
    /// Unknown in runs of earlier versions.
    #[serde(default, skip_serializing_if = "PeakMemory::is_unknown")]
    pub peak_memory: PeakMemory,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedStage {
    pub stage: String,
    pub problem: String,
    /// It never ran because a stage that it needs failed.
    #[serde(default)]
    pub blocked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_takes_it() {
        let command = ["surgcam", "run", "it's.toml", "--set", "matrix.model=[\"a b\"]", ""]
            .map(String::from)
            .to_vec();
        let run: Run = serde_json::from_value(serde_json::json!({
            "format": FORMAT, "id": "1", "experiment": "a", "command": command,
            "started": "", "seconds": 0.0, "state": "done", "plan": Digest::of_bytes(b""),
            "executed": [], "cached": 0, "failed": [], "surgcam": "", "host": "",
        }))
        .unwrap();
        assert!(run.command_line().starts_with("surgcam run "), "{}", run.command_line());
        assert_eq!(shlex::split(&run.command_line()), Some(command));
    }

    #[test]
    fn a_run_from_before_scopes_were_noted_has_that_of_its_command() {
        let text = |command: &str| {
            let digest = Digest::of_bytes(b"");
            format!(
                r#"{{"format": 1, "id": "one", "experiment": "a",
                "command": ["surgcam", "{command}", "a"], "started": "", "seconds": 0,
                "state": "done", "plan": "{digest}", "executed": [], "cached": 0, "failed": [],
                "surgcam": "", "host": ""}}"#
            )
        };
        let scope = |command: &str| serde_json::from_str::<Run>(&text(command)).unwrap().scope();
        assert_eq!(
            [scope("run"), scope("view"), scope("export")],
            [Scope::Whole, Scope::Part, Scope::Part]
        );
    }
}
