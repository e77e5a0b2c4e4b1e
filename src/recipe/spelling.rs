//! Names that nobody knows, and the known name that was probably meant.

use surgcam_engine::error::Error;

/// A name with more bytes than this is not compared with any other.
const LONGEST_COMPARED: usize = 100;

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

/// The known name that is most like the unknown one, if any is like it at all.
fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if unknown.len() > LONGEST_COMPARED {
        return None;
    }
    known
        .into_iter()
        .filter(|name| *name != unknown && name.len() <= LONGEST_COMPARED)
        .map(|name| (strsim::normalized_damerau_levenshtein(&unknown.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= 0.4)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// "; did you mean `x`?" with the known name that is most like the unknown one. Empty if none is.
pub fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(unknown, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}
