//! What came of it: tables for people, JSON for machines, and a verdict.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    contender::Guarantee,
    measure::Sample,
    scenario::{Bound, Quantity, Scenario},
    stats::{interval, median},
};

/// Who is held to the bounds.
pub(crate) const OURS: &str = "rabbitry";

/// All runs of one scenario.
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    pub(crate) contenders: BTreeMap<&'static str, (Guarantee, Vec<Sample>)>,
}

/// What became of a bound.
pub(crate) struct Verdict {
    pub(crate) met: bool,
    pub(crate) text: String,
}

impl Outcome {
    fn values(&self, name: &str, quantity: Quantity) -> Vec<f64> {
        let samples = self.contenders.get(name).map(|(_, samples)| &**samples).unwrap_or_default();
        let value = |sample: &Sample| match quantity {
            Quantity::Rate => Some(sample.rate()),
            Quantity::Cpu => Some(sample.cpu_each()),
            Quantity::Latency => sample.latency_at(50.0),
        };
        samples.iter().filter_map(value).collect()
    }

    /// The table of a scenario, and what became of its bounds.
    pub(crate) fn print(&self) -> Vec<Verdict> {
        let Scenario { name, about, events, size, .. } = &self.scenario;
        println!("\n{name}: {about} ({events} events of {size} B, {:?})", self.scenario.queue_type);
        println!(
            "  {:<15} {:>10} {:>21} {:>10} {:>17}  guarantees",
            "", "events/s", "lowest … highest", "CPU µs", "lowest … highest"
        );
        let mut names: Vec<_> = self.contenders.keys().copied().collect();
        names.sort_by(|one, other| {
            let rate = |name| median(&self.values(name, Quantity::Rate));
            rate(other).total_cmp(&rate(one))
        });
        for name in names {
            let (rates, cpu) = (self.values(name, Quantity::Rate), self.values(name, Quantity::Cpu));
            let guarantee = self.contenders.get(name).map(|(guarantee, _)| guarantee.to_string()).unwrap_or_default();
            println!(
                "  {name:<15} {:>10.0} {:>21} {:>10.1} {:>17}  {guarantee}",
                median(&rates),
                spread(&rates, 0),
                median(&cpu),
                spread(&cpu, 1)
            );
            if let Some(line) = self.latencies(name) {
                println!("  {:<15} {line}", "");
            }
        }
        let verdicts: Vec<_> = self.scenario.bounds.iter().filter_map(|bound| self.judge(bound)).collect();
        for verdict in &verdicts {
            println!("  {} {}", if verdict.met { "met:   " } else { "MISSED:" }, verdict.text);
        }
        verdicts
    }

    fn latencies(&self, name: &str) -> Option<String> {
        let (_, samples) = self.contenders.get(name)?;
        let at = |percentile| {
            let values: Vec<_> = samples.iter().filter_map(|sample| sample.latency_at(percentile)).collect();
            (!values.is_empty()).then(|| median(&values) / 1000.0)
        };
        Some(format!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", at(50.0)?, at(99.0)?, at(99.9)?))
    }

    /// Compares round by round with the best of those that a bound names; `None` where none of them ran.
    fn judge(&self, bound: &Bound) -> Option<Verdict> {
        let Bound { quantity, beside, ratio: wanted } = *bound;
        let ours = self.values(OURS, quantity);
        let best = beside.iter().filter(|name| self.contenders.contains_key(**name)).min_by(|one, other| {
            let of = |name: &str| median(&self.values(name, quantity));
            let order = of(one).total_cmp(&of(other));
            if quantity.is_better_high() { order.reverse() } else { order }
        })?;
        let ratios: Vec<_> = ours.iter().zip(self.values(best, quantity)).map(|(ours, theirs)| ours / theirs).collect();
        if ratios.is_empty() {
            return None;
        }
        let (middle, (low, high)) = (median(&ratios), interval(&ratios));
        let met = match quantity {
            // Rates are noisy: only what is certain fails.
            Quantity::Rate => high >= wanted,
            Quantity::Cpu | Quantity::Latency => middle <= wanted,
        };
        let limit = if quantity.is_better_high() { "at least" } else { "at most" };
        let text = format!("{quantity} {middle:.2} × {best} ({low:.2} … {high:.2}), {limit} {wanted}");
        Some(Verdict { met, text })
    }

    /// The same for machines.
    pub(crate) fn json(&self) -> Value {
        let contenders: BTreeMap<_, _> = self
            .contenders
            .iter()
            .map(|(name, (guarantee, samples))| (*name, json!({
                "guarantees": guarantee.to_string(),
                "rounds": samples.iter().map(|sample| json!({
                    "events": sample.events,
                    "seconds": sample.elapsed.as_secs_f64(),
                    "events_per_second": sample.rate(),
                    "cpu_microseconds_per_event": sample.cpu_each(),
                    "latency_microseconds": sample.latency.as_ref().map(|_| json!({
                        "p50": sample.latency_at(50.0), "p99": sample.latency_at(99.0), "p99.9": sample.latency_at(99.9),
                    })),
                })).collect::<Vec<_>>(),
            })))
            .collect();
        let bounds = self.scenario.bounds.iter().filter_map(|bound| self.judge(bound));
        json!({
            "scenario": self.scenario.name,
            "about": self.scenario.about,
            "events": self.scenario.events,
            "body_bytes": self.scenario.size,
            "queue": format!("{:?}", self.scenario.queue_type).to_lowercase(),
            "contenders": contenders,
            "bounds": bounds.map(|verdict| json!({ "met": verdict.met, "text": verdict.text })).collect::<Vec<_>>(),
        })
    }
}

fn spread(values: &[f64], digits: usize) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{low:.digits$} … {high:.digits$}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario;

    fn outcome(ours: &[u64], theirs: &[u64]) -> Outcome {
        let scenario = scenario::all().into_iter().find(|scenario| scenario.name == "answer").unwrap();
        let samples = |milliseconds: &[u64]| {
            let sample = |milliseconds: &u64| Sample {
                events: 1000,
                elapsed: Duration::from_millis(*milliseconds),
                cpu: Duration::from_millis(5),
                latency: None,
            };
            (Guarantee::FULL, milliseconds.iter().map(sample).collect::<Vec<_>>())
        };
        Outcome { scenario, contenders: [(OURS, samples(ours)), ("lapin-tight", samples(theirs))].into() }
    }

    #[test]
    fn a_rate_fails_only_if_all_of_the_interval_is_below_the_bound() {
        // 0.9 of it at least: twice as slow in every round, then in most of them.
        let slow = outcome(&[200; 15], &[100; 15]).print();
        assert!(!slow[0].met);
        let mostly = outcome(&[200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 99, 99, 99, 99], &[100; 15]);
        assert!(mostly.print()[0].met);
        assert!(outcome(&[99; 15], &[100; 15]).print()[0].met);
    }

    #[test]
    fn what_did_not_run_is_not_compared() {
        let mut alone = outcome(&[100], &[100]);
        alone.contenders.remove("lapin-tight");
        assert!(alone.print().is_empty());
    }
}
