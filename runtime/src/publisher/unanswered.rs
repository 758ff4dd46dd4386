//! What is to be written, and what was written and has no answer yet: on a loss all of it is written again.

use std::collections::{BTreeMap, VecDeque};

use super::window::{Job, Missed};

/// The jobs of the publishing task, by the order in which they came.
#[derive(Default)]
pub(super) struct Unanswered {
    jobs: BTreeMap<u64, Job>,
    next: u64,
    /// Those that the channel is to be given, in their order.
    to_write: VecDeque<u64>,
}

impl Unanswered {
    pub(super) fn take_in(&mut self, jobs: impl Iterator<Item = Job>) {
        for job in jobs {
            self.jobs.insert(self.next, job);
            self.to_write.push_back(self.next);
            self.next += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Job> {
        self.jobs.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Job> {
        self.jobs.get_mut(&number)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Job> {
        self.jobs.remove(&number)
    }

    /// Puts one back that was taken out.
    pub(super) fn keep(&mut self, number: u64, job: Job) {
        self.jobs.insert(number, job);
    }

    /// The channel is gone, and with it whatever it would have said.
    pub(super) fn lost(&mut self) {
        for job in self.jobs.values_mut() {
            job.looks = None;
            job.in_doubt |= job.is_written() && job.missed != Missed::Now;
        }
        self.to_write.clear();
    }

    /// A channel is there: all that was lost is to be written, in its order, but for the suspects. Those are returned.
    pub(super) fn begin(&mut self) -> Vec<u64> {
        let (suspects, others): (Vec<_>, Vec<_>) = self.jobs.iter().partition(|(_, job)| job.suspect);
        self.to_write = others.into_iter().map(|(number, _)| *number).collect();
        suspects.into_iter().map(|(number, _)| *number).collect()
    }

    /// Whether something is to be written.
    pub(super) fn has_more(&self) -> bool {
        !self.to_write.is_empty()
    }

    /// Up to `count` that are to be written next.
    pub(super) fn next_batch(&mut self, count: usize) -> Vec<u64> {
        self.to_write.drain(..count.min(self.to_write.len())).collect()
    }

    /// This one is to be written once more.
    pub(super) fn again(&mut self, number: u64) {
        self.to_write.push_back(number);
    }

    /// Those of `numbers` that may be written now; what nobody waits for any more is let go.
    pub(super) fn begin_writing(&mut self, numbers: &[u64]) -> Vec<u64> {
        let mut begun = Vec::with_capacity(numbers.len());
        for number in numbers {
            match self.jobs.get_mut(number) {
                Some(job) if job.begins() => {
                    // From now on it may be stored.
                    if job.missed == Missed::Now {
                        job.missed = Missed::Once;
                    }
                    begun.push(*number);
                }
                Some(_) => _ = self.jobs.remove(number),
                None => {}
            }
        }
        begun
    }

    /// All that the broker owes an answer on this channel may be what it closed the channel over, but for what it has read
    /// long ago.
    pub(super) fn suspect_all(&mut self) {
        self.jobs.values_mut().filter(|job| job.looks == Some(0)).for_each(|job| job.suspect = true);
    }

    /// Keeps of those that the broker owes an answer the ones that the condition holds for.
    pub(super) fn retain_owed(&mut self, mut keep: impl FnMut(u64, &mut Job, u32) -> bool) {
        self.jobs.retain(|number, job| match job.looks {
            Some(looks) => keep(*number, job, looks),
            None => true,
        });
    }

    /// Lets go of what nobody waits for, and with it of its places, unless the broker has it.
    pub(super) fn let_go(&mut self) {
        self.jobs.retain(|_, job| job.looks.is_some() || !job.is_abandoned());
        let jobs = &self.jobs;
        self.to_write.retain(|number| jobs.contains_key(number));
    }
}
