//! What serde says about names that nobody knows, with the known name that was probably meant.

use surgcam_engine::error::Error;
use surgcam_engine::suggestion::nearest;

/// Makes a usage error of a message of serde. If the message is about an unknown key or an unknown
/// value, the error suggests the known one that is most like it.
pub(super) fn explained(message: &str) -> Error {
    let message = message.trim().trim_end_matches('.');
    let error = Error::usage(message.lines().collect::<Vec<_>>().join("; "));
    match unknown_name(message) {
        Some((unknown, known)) => match nearest(&unknown, known.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        },
        None => error,
    }
}

/// Takes the unknown name and the expected ones out of a message of serde, such as
/// "unknown field `x`, expected one of `a`, `b`".
fn unknown_name(message: &str) -> Option<(String, Vec<String>)> {
    let start = message.find("unknown field `").or_else(|| message.find("unknown variant `"))?;
    let mut quoted = message[start..].split('`').skip(1).step_by(2).map(String::from);
    let unknown = quoted.next()?;
    Some((unknown, quoted.collect()))
}
