//! What processes tell the runner: a line each, written at once, so that it is there whatever becomes of its writer.

use std::{fmt, io::Write, str::FromStr};

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The service is ready.
    Ready,
    /// An event is about to be published.
    Sent { subject: String },
    /// It is confirmed.
    Confirmed { subject: String },
    /// It may have arrived.
    Unknown { subject: String, why: String },
    /// It certainly has not arrived.
    Refused { subject: String, why: String },
    /// A handler has begun.
    Begun { subject: String, id: String, attempt: u32 },
    /// A handler's effect is there to stay.
    Effect { subject: String, id: String },
    /// The service says that a run failed, and what follows.
    Failed { subject: String, attempt: u32, why: String },
    /// The service says that all effects of a run are safe, and acknowledges.
    Done { subject: String },
    /// A handler took a probe.
    Probe { handler: String, number: u64 },
}

impl Line {
    /// The event that it is about.
    pub(crate) fn subject(&self) -> Option<&str> {
        match self {
            Self::Ready | Self::Probe { .. } => None,
            Self::Sent { subject }
            | Self::Confirmed { subject }
            | Self::Unknown { subject, .. }
            | Self::Refused { subject, .. }
            | Self::Begun { subject, .. }
            | Self::Effect { subject, .. }
            | Self::Failed { subject, .. }
            | Self::Done { subject } => Some(subject),
        }
    }

    /// What it says, for people.
    pub(crate) fn story(&self) -> String {
        match self {
            Self::Begun { attempt, .. } => format!("begun, attempt {attempt}"),
            Self::Failed { attempt, why, .. } => format!("failed, attempt {attempt}: {why}"),
            Self::Unknown { why, .. } => format!("unknown: {why}"),
            Self::Refused { why, .. } => format!("refused: {why}"),
            Self::Sent { .. } => "published".to_owned(),
            Self::Done { .. } => "said to be done".to_owned(),
            Self::Confirmed { .. } => "confirmed".to_owned(),
            Self::Effect { .. } => "had its effect".to_owned(),
            Self::Ready | Self::Probe { .. } => self.to_string(),
        }
    }

    /// Writes it to the standard output. A pipe keeps it when the process is killed, and one write of this length is
    /// whole or not there.
    pub(crate) fn say(&self) {
        let text = format!("{self}\n");
        let mut out = std::io::stdout().lock();
        // Without a reader there is no runner any more, and soon no process.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => write!(f, "ready"),
            Self::Sent { subject } => write!(f, "sent\t{subject}"),
            Self::Confirmed { subject } => write!(f, "confirmed\t{subject}"),
            Self::Unknown { subject, why } => write!(f, "unknown\t{subject}\t{}", one_line(why)),
            Self::Refused { subject, why } => write!(f, "refused\t{subject}\t{}", one_line(why)),
            Self::Begun { subject, id, attempt } => write!(f, "begun\t{subject}\t{id}\t{attempt}"),
            Self::Effect { subject, id } => write!(f, "effect\t{subject}\t{id}"),
            Self::Failed { subject, attempt, why } => write!(f, "failed\t{subject}\t{attempt}\t{}", one_line(why)),
            Self::Done { subject } => write!(f, "done\t{subject}"),
            Self::Probe { handler, number } => write!(f, "probe\t{handler}\t{number}"),
        }
    }
}

/// Short, and without what ends a line or a field.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(300).collect()
}

impl FromStr for Line {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split('\t').collect();
        let broken = || format!("not a line of ours: {line}");
        let number = |text: &str| text.parse().map_err(|_| broken());
        let own = |text: &str| text.to_owned();
        Ok(match fields[..] {
            ["ready"] => Self::Ready,
            ["sent", subject] => Self::Sent { subject: own(subject) },
            ["confirmed", subject] => Self::Confirmed { subject: own(subject) },
            ["unknown", subject, why] => Self::Unknown { subject: own(subject), why: own(why) },
            ["refused", subject, why] => Self::Refused { subject: own(subject), why: own(why) },
            ["begun", subject, id, attempt] => {
                Self::Begun { subject: own(subject), id: own(id), attempt: number(attempt)? }
            }
            ["effect", subject, id] => Self::Effect { subject: own(subject), id: own(id) },
            ["failed", subject, attempt, why] => {
                Self::Failed { subject: own(subject), attempt: number(attempt)?, why: own(why) }
            }
            ["done", subject] => Self::Done { subject: own(subject) },
            ["probe", handler, count] => {
                Self::Probe { handler: own(handler), number: count.parse().map_err(|_| broken())? }
            }
            _ => return Err(broken()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (subject, id, why) = ("1.2.3/4".to_owned(), "an-id".to_owned(), "because".to_owned());
        for line in [
            Line::Ready,
            Line::Sent { subject: subject.clone() },
            Line::Confirmed { subject: subject.clone() },
            Line::Unknown { subject: subject.clone(), why: why.clone() },
            Line::Refused { subject: subject.clone(), why: why.clone() },
            Line::Begun { subject: subject.clone(), id: id.clone(), attempt: 3 },
            Line::Effect { subject: subject.clone(), id },
            Line::Failed { subject: subject.clone(), attempt: 2, why },
            Line::Done { subject: subject.clone() },
            Line::Probe { handler: "take".to_owned(), number: 12 },
        ] {
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        let hostile = Line::Unknown { subject, why: "two\nlines\tand a tab".to_owned() };
        assert_eq!(hostile.to_string(), "unknown\t1.2.3/4\ttwo lines and a tab");
        assert!("thread panicked".parse::<Line>().is_err());
    }
}
