use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{Decision, LONGEST_SECONDS, RetryPolicy};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What follows each run of a handler that always fails.
#[track_caller]
fn check(policy: &RetryPolicy, random: f64, expected: &Expect) {
    let mut decisions = Vec::new();
    for attempt in 1.. {
        decisions.push(match policy.decide(attempt, random) {
            Decision::Immediately => "at once".to_owned(),
            Decision::After(delay) => format!("{delay:?}"),
            Decision::GiveUp => break,
        });
    }
    expected.assert_eq(&decisions.join(", "));
}

#[test]
fn the_defaults() {
    let policy = RetryPolicy::default();
    check(&policy, 0.0, &expect!["at once, 1s, 4s, 16s, 64s, 256s"]);
    check(&policy, 0.999, &expect!["at once, 1s, 5s, 20s, 80s, 320s"]);
    check(&policy, 1.0, &expect!["at once, 1s, 5s, 20s, 80s, 320s"]);
    check(&policy, 0.5, &expect!["at once, 1s, 5s, 18s, 72s, 288s"]);
    assert_eq!(policy.delays().sum::<Duration>(), seconds(1 + 4 + 16 + 64 + 256));
    assert_eq!(policy.longest(), Some(seconds(320)));
    assert_eq!(policy.check(), Ok(()));
}

#[test]
fn other_policies() {
    let plain = RetryPolicy::default().jitter(0.0);
    check(&plain.attempts(1), 0.0, &expect![""]);
    check(&plain.attempts(2), 0.0, &expect!["at once"]);
    check(&plain.attempts(3).immediate(0), 0.0, &expect!["1s, 4s"]);
    check(&plain.attempts(3).immediate(9), 0.0, &expect!["at once, at once"]);
    check(&plain.max(seconds(10)), 0.0, &expect!["at once, 1s, 4s, 10s, 10s, 10s"]);
    check(&plain.factor(1.0).first(seconds(60)), 0.0, &expect!["at once, 60s, 60s, 60s, 60s, 60s"]);
    check(&plain.factor(1.5), 0.0, &expect!["at once, 1s, 2s, 3s, 4s, 6s"]);
    check(&plain.first(Duration::from_millis(300)), 0.0, &expect!["at once, 1s, 2s, 5s, 20s, 77s"]);
    check(&plain.first(Duration::ZERO), 0.0, &expect!["at once, 0ns, 0ns, 0ns, 0ns, 0ns"]);
}

#[test]
fn what_no_run_can_be_is_decided_too() {
    let policy = RetryPolicy::default().immediate(0);
    assert_eq!(policy.decide(0, 0.0), Decision::Immediately);
    assert_eq!(policy.decide(u32::MAX, 0.0), Decision::GiveUp);
    assert_eq!(RetryPolicy::default().attempts(0).decide(1, 0.0), Decision::GiveUp);
    assert_eq!(policy.attempts(u32::MAX).decide(u32::MAX - 1, 0.0), Decision::After(seconds(3600)));
    // A factor's power that is infinite.
    assert_eq!(policy.attempts(u32::MAX).first(Duration::ZERO).decide(5000, 1.0), Decision::After(Duration::ZERO));
}

#[test]
fn only_delays_through_the_ladder_need_levels() {
    assert_eq!(RetryPolicy::default().attempts(1).longest(), None);
    assert_eq!(RetryPolicy::default().attempts(2).longest(), None);
    assert_eq!(RetryPolicy::default().attempts(3).longest(), Some(seconds(1)));
    assert_eq!(RetryPolicy::default().attempts(0).longest(), None);
}

#[test]
fn jitter_is_spread_evenly_over_whole_seconds() {
    let policy = RetryPolicy::default().attempts(2).immediate(0).first(seconds(8));
    let mut counts = [0; 3];
    for n in 0..999 {
        let Decision::After(delay) = policy.decide(1, f64::from(n) / 999.0) else { panic!("no delay") };
        counts[usize::try_from(delay.as_secs()).unwrap() - 8] += 1;
    }
    assert_eq!(counts, [333, 333, 333]);
}

#[test]
fn wrong_settings_are_named() {
    let good = RetryPolicy::default();
    let first_and_longest = |first| good.first(first).max(first).attempts(3).jitter(0.0);
    let cases = [
        (good.attempts(0), "attempts"),
        (good.factor(0.5), "factor"),
        (good.factor(f64::NAN), "factor"),
        (good.factor(f64::INFINITY), "factor"),
        (good.factor(-1.0), "factor"),
        (good.first(seconds(10)).max(seconds(9)), "max"),
        (good.jitter(-0.1), "jitter"),
        (good.jitter(1.1), "jitter"),
        (good.jitter(f64::NAN), "jitter"),
        (first_and_longest(seconds(LONGEST_SECONDS + 1)), "max"),
        (first_and_longest(seconds(LONGEST_SECONDS)).jitter(0.25), "max"),
    ];
    for (policy, setting) in cases {
        assert_eq!(policy.check().map_err(|(setting, _)| setting), Err(setting), "{policy:?}");
    }
    let right = [
        good.attempts(1),
        good.factor(1.0),
        good.jitter(0.0),
        good.jitter(1.0),
        first_and_longest(seconds(LONGEST_SECONDS)),
    ];
    for policy in right {
        assert_eq!(policy.check(), Ok(()), "{policy:?}");
    }
}

fn policies() -> impl Strategy<Value = RetryPolicy> {
    (1..40u32, 0..6u32, 0..100_000u64, 1.0..20.0f64, 0..200_000_000u64, 0.0..=1.0f64).prop_map(
        |(attempts, immediate, first_ms, factor, above_first_ms, jitter)| {
            let first = Duration::from_millis(first_ms);
            let max = first + Duration::from_millis(above_first_ms);
            RetryPolicy::default()
                .attempts(attempts)
                .immediate(immediate)
                .first(first)
                .factor(factor)
                .max(max)
                .jitter(jitter)
        },
    )
}

proptest! {
    #[test]
    fn a_policy_keeps_its_word(policy in policies(), random in 0.0..=1.0f64) {
        prop_assert_eq!(policy.check(), Ok(()));
        let mut delays = policy.delays();
        let mut last = Duration::ZERO;
        for attempt in 1..policy.attempts {
            match policy.decide(attempt, random) {
                Decision::Immediately => prop_assert!(attempt <= policy.immediate),
                Decision::After(delay) => {
                    prop_assert!(attempt > policy.immediate);
                    let plain = delays.next().unwrap();
                    prop_assert!(plain >= last, "delays become shorter");
                    prop_assert!(plain.as_secs() <= policy.max.as_secs() + 1);
                    prop_assert_eq!(delay.subsec_nanos(), 0);
                    prop_assert!(delay >= plain);
                    prop_assert!(delay.as_secs_f64() <= plain.as_secs_f64() * (1.0 + policy.jitter) + 1e-6);
                    prop_assert!(delay <= policy.longest().unwrap());
                    last = plain;
                }
                Decision::GiveUp => prop_assert!(false, "gives up after run {attempt}"),
            }
        }
        prop_assert_eq!(delays.next(), None);
        prop_assert_eq!(policy.decide(policy.attempts, random), Decision::GiveUp);
    }

    #[test]
    fn no_setting_panics(
        (attempts, immediate, attempt) in any::<(u32, u32, u32)>(),
        (first, max) in any::<(Duration, Duration)>(),
        (factor, jitter, random) in any::<(f64, f64, f64)>(),
    ) {
        let policy = RetryPolicy { attempts, immediate, first, factor, max, jitter };
        let _ = (policy.check(), policy.longest(), policy.decide(attempt, random), policy.delays().next());
    }
}
