//! Fresh ids.

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use smol_str::SmolStr;
use uuid::{Builder, Uuid};

use crate::envelope::id;

/// How many random bytes an id takes: what a UUIDv7 has beside its 48 bits of milliseconds.
const RANDOM: usize = 10;
/// For how many ids a thread asks the system at once: each time is a system call, which costs more than all the rest of an id.
const AT_ONCE: usize = 64;
/// How many steps a millisecond has: as many as 12 bits tell apart.
const STEPS: u64 = 1 << 12;

thread_local! {
    static SOURCE: RefCell<Source> = const { RefCell::new(Source::new()) };
}

/// A new id: a UUIDv7. Those of one thread sort in the order in which they were made, unless somebody sets the clock back, and all
/// others by their time, to a quarter of a microsecond.
pub(crate) fn fresh_id() -> SmolStr {
    id::text(SOURCE.with_borrow_mut(|source| source.next(SystemTime::now())))
}

/// What one thread makes its ids of.
struct Source {
    /// From the system's generator; what an id has taken no other takes.
    random: Vec<[u8; RANDOM]>,
    /// The time of the last id, in steps.
    last: u64,
}

impl Source {
    const fn new() -> Self {
        Self { random: Vec::new(), last: 0 }
    }

    /// The next id, at this time.
    fn next(&mut self, now: SystemTime) -> Uuid {
        let steps = self.steps(now);
        let mut random = self.random();
        // Behind the milliseconds come the steps within one: the version takes the four bits before them.
        let [high, low] = u16::try_from(steps % STEPS).unwrap_or_default().to_be_bytes();
        (random[0], random[1]) = (high, low);
        Builder::from_unix_timestamp_millis(steps / STEPS, &random).into_uuid()
    }

    /// The time in steps, and later than that of the last id, if that was about now.
    fn steps(&mut self, now: SystemTime) -> u64 {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or_default();
        let steps = millis * STEPS + u64::from(since.subsec_nanos() % 1_000_000) * STEPS / 1_000_000;
        let is_about_now = self.last >= steps && self.last - steps < STEPS;
        self.last = if is_about_now { self.last + 1 } else { steps };
        self.last
    }

    fn random(&mut self) -> [u8; RANDOM] {
        loop {
            if let Some(random) = self.random.pop() {
                return random;
            }
            let mut bytes = [[0; RANDOM]; AT_ONCE];
            if getrandom::fill(bytes.as_flattened_mut()).is_err() {
                // The system has none. An event must not be lost over that, and the time is part of its id as well.
                fastrand::fill(bytes.as_flattened_mut());
            }
            self.random.extend(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use super::*;

    #[test]
    fn all_are_different_and_in_order() {
        let of_each_thread = (0..4).map(|_| std::thread::spawn(|| (0..1000).map(|_| fresh_id()).collect::<Vec<_>>()));
        let of_each_thread: Vec<_> =
            of_each_thread.collect::<Vec<_>>().into_iter().map(|it| it.join().unwrap()).collect();
        assert!(of_each_thread.iter().all(|ids| ids.is_sorted()));
        assert_eq!(of_each_thread.into_iter().flatten().collect::<HashSet<_>>().len(), 4000);
    }

    #[test]
    fn they_are_uuids_of_their_time() {
        let now = UNIX_EPOCH + Duration::from_nanos(1_790_000_000_123_456_789);
        let mut source = Source::new();
        let ids: Vec<_> = (0..3 * AT_ONCE).map(|_| source.next(now)).collect();
        assert!(ids.is_sorted());
        for id in &ids {
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
            let millis = id.get_timestamp().unwrap().to_unix();
            assert_eq!((millis.0, millis.1 / 1_000_000), (1_790_000_000, 123));
        }
        // However many are made at the same time, their random parts have nothing in common.
        assert_eq!(ids.iter().map(|id| id.as_u128() & ((1 << 62) - 1)).collect::<HashSet<_>>().len(), ids.len());
    }

    #[test]
    fn they_follow_the_clock_where_it_is_set_back() {
        let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let mut source = Source::new();
        let before = source.next(now);
        let a_little = source.next(now - Duration::from_micros(900));
        let much = source.next(now - Duration::from_secs(3600));
        assert!(a_little > before);
        assert!(much < before);
        assert_eq!(much.get_timestamp().unwrap().to_unix().0, 1_790_000_000 - 3600);
    }
}
