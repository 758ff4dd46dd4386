//! What happens, a line for each run of a handler.

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal, Write},
    time::{Duration, SystemTime},
};

use rabbitry::observe::{Next, Run, RunEnd};

/// How a part of a line looks on a terminal that has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Plain,
    Faint,
    Good,
    Later,
    Bad,
    Name,
}

/// One run, as it is shown.
#[derive(Clone, Debug)]
pub struct Line {
    time: SystemTime,
    event: String,
    key: String,
    id: String,
    from: String,
    to: String,
    attempt: String,
    end: String,
    look: Look,
    took: Duration,
}

impl Line {
    /// A run that has just ended.
    #[must_use]
    pub fn of(run: &Run<'_>) -> Self {
        let look = match run.end {
            RunEnd::Done { .. } => Look::Good,
            RunEnd::Failed { next: Next::DeadLetter, .. } => Look::Bad,
            _ => Look::Later,
        };
        Self {
            time: SystemTime::now(),
            event: run.event.to_owned(),
            key: run.key.unwrap_or("-").to_owned(),
            id: run.id.unwrap_or("-").to_owned(),
            from: run.source.unwrap_or("?").to_owned(),
            to: format!("{}.{}", run.service, run.handler),
            attempt: format!("{}/{}", run.attempt, run.of),
            end: run.end.to_string(),
            look,
            took: run.took,
        }
    }

    /// The line as text. Every text that it finds in an event or an error goes through `text`, which may shorten it.
    #[must_use]
    pub fn to_text(&self, colours: bool, text: impl Fn(&str) -> String) -> String {
        // What was said by others may hold what a terminal obeys.
        let text = |said: &str| text(said).replace(char::is_control, " ");
        let parts = [
            (Look::Faint, clock(self.time)),
            (Look::Name, format!("{:14}", text(&self.event))),
            (Look::Plain, format!("{:2}", text(&self.key))),
            (Look::Faint, format!("{:8}", short(&text(&self.id)))),
            (Look::Plain, format!("{:9} → {:23}", text(&self.from), self.to)),
            (Look::Faint, self.attempt.clone()),
            (self.look, text(&self.end)),
            (Look::Faint, format!("{:.1} ms", self.took.as_secs_f64() * 1000.0)),
        ];
        parts.map(|(look, part)| if colours { paint(look, &part) } else { part }).join("  ")
    }
}

/// Whether an output shows colours, and nobody has said (<https://no-color.org>) that they are unwanted.
#[must_use]
pub fn colours(output: &impl IsTerminal) -> bool {
    wants_colours(output.is_terminal(), env::var_os("NO_COLOR").as_deref())
}

fn wants_colours(terminal: bool, no_color: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Prints a line. Nobody has to read it: a reader that has gone is no reason to end.
pub fn say(line: &str) {
    _ = writeln!(io::stdout().lock(), "{line}");
}

/// The time of day, UTC.
fn clock(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs() % 86400, since.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The end of an id: ids that are made at about the same time begin alike.
fn short(id: &str) -> String {
    id.chars().skip(id.chars().count().saturating_sub(8)).collect()
}

fn paint(look: Look, text: &str) -> String {
    let code = match look {
        Look::Plain => return text.to_owned(),
        Look::Faint => 2,
        Look::Good => 32,
        Look::Later => 33,
        Look::Bad => 31,
        Look::Name => 36,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_000 * 9 + 3_723_004),
            event: "order_created".to_owned(),
            key: "777001".to_owned(),
            id: "0190163d-8694-739b-aea5-966c26f8ad91".to_owned(),
            from: "orders".to_owned(),
            to: "inventory.reserve_stock".to_owned(),
            attempt: "1/6".to_owned(),
            end: "ok, 2 published".to_owned(),
            look: Look::Good,
            took: Duration::from_micros(4240),
        }
    }

    #[test]
    fn a_run_is_a_line() {
        assert_eq!(
            line().to_text(false, |text| text.replace("77700", "")),
            "01:02:03.004  order_created   1   26f8ad91  orders    → inventory.reserve_stock  1/6  ok, 2 published  4.2 ms"
        );
    }

    #[test]
    fn colours_are_all_that_is_added() {
        let plain = line().to_text(false, str::to_owned);
        let mut coloured = line().to_text(true, str::to_owned);
        assert!(coloured.contains("\u{1b}[32mok, 2 published\u{1b}[0m"), "{coloured}");
        for code in ["0", "2", "31", "32", "33", "36"] {
            coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(coloured, plain);
    }

    #[test]
    fn nothing_that_was_said_reaches_the_terminal_as_a_command() {
        let evil = Line { end: "failed (error: \u{1b}[2J\n)".to_owned(), event: "a\u{7}".to_owned(), ..line() };
        let text = evil.to_text(false, str::to_owned);
        assert!(!text.contains(char::is_control), "{text:?}");
    }

    #[test]
    fn colours_need_a_terminal_and_no_objection() {
        assert!(wants_colours(true, None) && wants_colours(true, Some(OsStr::new(""))));
        assert!(!wants_colours(true, Some(OsStr::new("1"))) && !wants_colours(false, None));
    }
}
