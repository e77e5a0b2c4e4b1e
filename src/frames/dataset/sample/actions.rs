//! What the drawn instruments do, and the captions that describe it.

use rand::RngExt;

use super::instruments::Instrument;
use crate::dataset::annotations::INTERACTIONS;
use crate::random::stream;

/// What an instrument does, in the order of [`INTERACTIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Idle,
    Grasping,
    Retraction,
    TissueManipulation,
    ToolManipulation,
    Cutting,
    Cauterization,
    Suction,
    Looping,
    Suturing,
    Clipping,
    Staple,
    UltrasoundSensing,
}

/// How often an instrument does what it is mainly used for, as a share.
const CHARACTERISTIC_SHARE: f32 = 0.65;

impl Action {
    /// Draws an action for an instrument. `name` is the name of the random stream, so that other
    /// draws for the scene do not change it.
    pub fn choose(name: &str, instrument: Instrument) -> Action {
        let [characteristic, other] = Action::of(instrument);
        if stream(name).random_range(0.0..1.0) < CHARACTERISTIC_SHARE {
            characteristic
        } else {
            other
        }
    }

    /// What an instrument is mainly used for, and what else it does.
    fn of(instrument: Instrument) -> [Action; 2] {
        match instrument {
            Instrument::BipolarForceps => [Action::Retraction, Action::Looping],
            Instrument::PrograspForceps => [Action::Grasping, Action::TissueManipulation],
            Instrument::LargeNeedleDriver => [Action::Suturing, Action::Looping],
            Instrument::MonopolarCurvedScissors => [Action::Cutting, Action::Cauterization],
            Instrument::UltrasoundProbe => [Action::UltrasoundSensing, Action::Idle],
            Instrument::Suction => [Action::Suction, Action::TissueManipulation],
            Instrument::ClipApplier => [Action::Clipping, Action::ToolManipulation],
            Instrument::Stapler => [Action::Staple, Action::Idle],
            Instrument::Hook => [Action::Cauterization, Action::Idle],
            Instrument::SpecimenBag => [Action::Idle, Action::Grasping],
        }
    }

    /// The name in annotation files.
    pub fn name(self) -> &'static str {
        INTERACTIONS[self as usize]
    }

    /// The words that follow the instruments in a caption.
    fn phrase(self) -> &'static str {
        match self {
            Action::Idle => "idle",
            Action::Grasping => "grasping tissue",
            Action::Retraction => "retracting tissue",
            Action::TissueManipulation => "manipulating tissue",
            Action::ToolManipulation => "manipulating a clip",
            Action::Cutting => "cutting tissue",
            Action::Cauterization => "cauterizing tissue",
            Action::Suction => "suctioning blood",
            Action::Looping => "looping tissue with the suture",
            Action::Suturing => "suturing tissue",
            Action::Clipping => "clipping tissue",
            Action::Staple => "stapling tissue",
            Action::UltrasoundSensing => "sensing blood vessels",
        }
    }
}

/// The caption of a scene, such as "A bipolar forceps and a large needle driver are looping tissue
/// with the suture". Instruments are in the order of the classes, and those with the same action
/// are named together. With three clauses the word "is" is left out, so that few captions have more
/// than twenty words.
pub fn caption(acting: &[(Instrument, Action)]) -> String {
    let mut acting = acting.to_vec();
    acting.sort_by_key(|(instrument, _)| *instrument);
    let mut groups: Vec<(Action, Vec<Instrument>)> = Vec::new();
    for (instrument, action) in acting {
        match groups.iter_mut().find(|(known, _)| *known == action) {
            Some((_, instruments)) => instruments.push(instrument),
            None => groups.push((action, vec![instrument])),
        }
    }
    let is_long = groups.len() > 2;
    let clauses: Vec<String> =
        groups.iter().map(|(action, instruments)| clause(*action, instruments, is_long)).collect();
    if clauses.is_empty() {
        "There is no instrument in view".to_string()
    } else {
        capitalized(&enumerated(&clauses))
    }
}

fn clause(action: Action, instruments: &[Instrument], is_long: bool) -> String {
    let names: Vec<String> =
        instruments.iter().map(|instrument| with_article(instrument.class())).collect();
    let verb = match names.len() {
        _ if is_long => "",
        1 => "is ",
        _ => "are ",
    };
    format!("{} {verb}{}", enumerated(&names), action.phrase())
}

fn with_article(name: &str) -> String {
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// The items as in "x", "x and y" or "x, y and z".
fn enumerated(items: &[String]) -> String {
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

fn capitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruments_with_the_same_action_share_a_clause() {
        let looping = [
            (Instrument::BipolarForceps, Action::Looping),
            (Instrument::LargeNeedleDriver, Action::Looping),
        ];
        assert_eq!(
            caption(&looping),
            "A bipolar forceps and a large needle driver are looping tissue with the suture"
        );
        let three = [
            (Instrument::UltrasoundProbe, Action::Idle),
            (Instrument::Suction, Action::Suction),
            (Instrument::Stapler, Action::Idle),
        ];
        assert_eq!(
            caption(&three),
            "An ultrasound probe and a stapler are idle and a suction is suctioning blood"
        );
        let apart = [
            (Instrument::Hook, Action::Idle),
            (Instrument::Suction, Action::Suction),
            (Instrument::Stapler, Action::Staple),
        ];
        assert_eq!(
            caption(&apart),
            "A suction suctioning blood, a stapler stapling tissue and a hook idle"
        );
        assert_eq!(caption(&[]), "There is no instrument in view");
    }

    #[test]
    fn an_instrument_mostly_does_what_it_is_for() {
        let drawn =
            (0..1000).map(|number| Action::choose(&format!("test/{number}"), Instrument::Hook));
        let characteristic = drawn.filter(|action| *action == Action::Cauterization).count();
        assert!((600..700).contains(&characteristic), "{characteristic} of 1000");
    }

    #[test]
    fn names_follow_the_order_of_the_interactions() {
        assert_eq!(
            [Action::Idle, Action::ToolManipulation, Action::UltrasoundSensing].map(Action::name),
            ["Idle", "Tool_Manipulation", "Ultrasound_Sensing"]
        );
    }
}
