use std::sync::Mutex;

use super::*;

/// Clocks that a test sets, in seconds.
#[derive(Debug, Default)]
struct Set(Mutex<(i64, u64, Option<&'static str>)>);

impl Set {
    fn at(wall: i64, since_boot: u64, boot_id: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self(Mutex::new((wall, since_boot, boot_id))))
    }

    fn to(&self, wall: i64, since_boot: u64) {
        let mut set = self.0.lock().unwrap();
        (set.0, set.1) = (wall, since_boot);
    }
}

impl Clock for Set {
    fn now(&self) -> Timestamp {
        time(self.0.lock().unwrap().0)
    }

    fn since_boot(&self) -> Duration {
        Duration::from_secs(self.0.lock().unwrap().1)
    }

    fn boot_id(&self) -> Option<String> {
        self.0.lock().unwrap().2.map(str::to_owned)
    }
}

const fn time(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// When a window of ten minutes that began at `since` ends, in seconds.
fn end(keeper: &TimeKeeper, since: i64) -> i64 {
    keeper.jumps().end(time(since), 600_000_000).as_micros() / 1_000_000
}

#[test]
fn never_runs_backwards() {
    let clock = Set::at(1_000, 10, Some("a"));
    let mut keeper = TimeKeeper::new(clock.clone(), time(2_000), None);
    assert_eq!(keeper.now(), time(2_000));
    clock.to(500, 13);
    assert_eq!(keeper.now(), time(2_003));
    clock.to(2_004, 14);
    assert_eq!(keeper.now(), time(2_004));
    clock.to(1_000, 14);
    assert_eq!(keeper.now(), time(2_004));
    clock.to(2_007, 16);
    assert_eq!(keeper.now(), time(2_007), "within the tolerance");
    clock.to(2_006, 16);
    assert_eq!(keeper.now(), time(2_007));
    assert_eq!(keeper.jump(), None);
}

#[test]
fn a_jump_is_reported_until_it_is_logged_and_does_not_count() {
    let clock = Set::at(1_000, 10, Some("a"));
    let mut keeper = TimeKeeper::new(clock.clone(), time(0), None);
    // Suspend moves both clocks.
    clock.to(91_000, 90_010);
    keeper.now();
    assert_eq!(keeper.jump(), None);
    clock.to(91_000 + 1_800, 90_010);
    assert_eq!(keeper.now(), time(92_800));
    assert_eq!(keeper.jump(), Some(Duration::from_secs(1_800)));
    clock.to(92_900, 90_050);
    keeper.now();
    assert_eq!(keeper.jump(), Some(Duration::from_secs(1_860)), "and by a minute more");
    keeper.logged();
    keeper.now();
    assert_eq!(keeper.jump(), None);
    assert_eq!(end(&keeper, 91_000), 91_000 + 600 + 1_860);
    assert_eq!(end(&keeper, 92_800), 92_800 + 600 + 60);
    assert_eq!(end(&keeper, 92_900), 92_900 + 600);
}

#[test]
fn small_steps_add_up() {
    let clock = Set::at(0, 0, Some("a"));
    let mut keeper = TimeKeeper::new(clock.clone(), time(0), None);
    for hour in 1..=100 {
        // A second too many in each hour.
        clock.to(hour * 3_601, hour.unsigned_abs() * 3_600);
        keeper.now();
    }
    let counted = end(&keeper, 0) - 600;
    assert!((98..=100).contains(&counted), "{counted}");
}

#[test]
fn a_jump_between_two_processes_is_found_in_one_start_of_the_machine() {
    let clock = Set::at(1_000, 10, Some("a"));
    let mut keeper = TimeKeeper::new(clock.clone(), time(0), None);
    keeper.now();
    let record = keeper.record();
    // The newest event is of 1,100; at 1,200 the next process starts, half an hour ahead.
    clock.to(1_200 + 1_800, 210);
    let mut next = TimeKeeper::new(clock.clone(), time(1_100), Some(record.clone()));
    assert_eq!(next.now(), time(3_000));
    assert_eq!(next.jump(), Some(Duration::from_secs(1_800)));
    assert_eq!(end(&next, 1_100), 1_100 + 600 + 1_800);
    let twice = next.record();
    clock.to(3_100 + 60, 310);
    let mut third = TimeKeeper::new(clock.clone(), time(3_000), Some(twice));
    third.now();
    assert_eq!(end(&third, 1_100), 1_100 + 600 + 1_860, "jumps before the start are remembered");

    // The clock goes back while no process runs: time goes on as it passes.
    clock.to(900, 240);
    let mut back = TimeKeeper::new(clock, time(1_100), Some(record));
    assert_eq!(back.now(), time(1_230));
    assert_eq!(back.jump(), None);
}

#[test]
fn after_another_start_of_the_machine_the_wall_clock_counts() {
    let clock = Set::at(1_000, 10, Some("a"));
    let record = TimeKeeper::new(clock, time(0), None).record();
    for boot_id in [Some("b"), None] {
        let clock = Set::at(90_000, 5, boot_id);
        let mut keeper = TimeKeeper::new(clock, time(1_100), Some(record.clone()));
        assert_eq!(keeper.now(), time(90_000));
        assert_eq!((keeper.jump(), end(&keeper, 1_100)), (None, 1_700));
    }
}

#[test]
fn a_log_of_an_older_version_from_the_future_was_written_after_a_jump() {
    for (newest, skipped) in [(900, 0), (1_000 + 3_600, 0), (1_000 + 3_601, 3_601)] {
        let clock = Set::at(1_000, 10, Some("a"));
        let mut keeper = TimeKeeper::new(clock, time(newest), None);
        assert_eq!(keeper.now(), time(newest.max(1_000)));
        assert_eq!(end(&keeper, 500), 1_100 + skipped, "{newest}");
    }
}
