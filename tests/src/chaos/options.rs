//! What a run is to be.

use std::{fmt, path::PathBuf};

/// How it is called.
pub const USAGE: &str = "\
usage: scripts/chaos [--cluster] [--events N] [--faults N] [--seed N]

--cluster   on a cluster of three nodes instead of one: leaders killed, nodes restarted in turn, one cut off, two killed
--events    how many events the producers publish; default 100000
--faults    how many faults there are; default 50
--seed      repeats the plan of a run; default: another one each time

Prints the seed, a line for each fault and the ledger. Ends with 0 if nothing is lost and nothing is wrong, else with 1.
RABBITMQ=4 takes RabbitMQ 4.0 instead of 3.10.";

/// What a run is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether it is a cluster that is broken, and not a node alone.
    pub cluster: bool,
    /// How many events the sources publish, at least.
    pub events: usize,
    /// How many faults there are.
    pub faults: usize,
    /// What the plan and the fates of the events follow from.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cluster: false, events: 100_000, faults: 50, seed: fastrand::u64(..1_000_000) }
    }
}

impl Options {
    /// Reads the arguments of a command line.
    ///
    /// # Errors
    /// An argument that there is not, or no number behind it.
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let mut number = || {
                let text = arguments.next().ok_or_else(|| format!("{name} lacks its number"))?;
                text.parse::<u64>().map_err(|_| format!("{name} {text}: not a number"))
            };
            match name.as_str() {
                "--cluster" => options.cluster = true,
                "--events" => options.events = usize::try_from(number()?).map_err(|error| error.to_string())?,
                "--faults" => options.faults = usize::try_from(number()?).map_err(|error| error.to_string())?,
                "--seed" => options.seed = number()?,
                _ => return Err(format!("there is no {name}")),
            }
        }
        Ok(options)
    }

    /// Where the logs of the processes go.
    pub(super) fn logs(&self) -> PathBuf {
        let process = std::process::id();
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../target/chaos/{}-{process}", self.seed))
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = if self.cluster { "--cluster " } else { "" };
        write!(f, "{cluster}--events {} --faults {} --seed {}", self.events, self.faults, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        Options::read(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_run_can_be_repeated_by_what_it_prints() {
        for cluster in [true, false] {
            let options = Options { cluster, events: 5000, faults: 17, seed: 12 };
            assert_eq!(read(&options.to_string()), Ok(options));
        }
        assert_eq!(read("--seed 1"), Ok(Options { seed: 1, ..Options::default() }));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert_eq!(read("--event 1"), Err("there is no --event".to_owned()));
        assert_eq!(read("--events"), Err("--events lacks its number".to_owned()));
        assert_eq!(read("--events many"), Err("--events many: not a number".to_owned()));
    }
}
