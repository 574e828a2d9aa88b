//! How long to wait between two listings of one folder.
//!
//! After news the shortest pause, and twice the last one after each listing without, up to the longest. From there on a
//! pause is a tenth of the time for which nothing has come, up to a bound: so a folder costs some ten listings each time
//! that its silence grows by the factor e, and an organization's thousands of silent folders next to nothing beside those
//! in which something happens. Where notifications tell of objects, only what they should have told of counts as news.
//! Where sweeps look for what is new in silent folders (`sweep`), a folder whose open days hold nothing sleeps.
//!
//! Pure but for chance: a pause is cut by up to a tenth, the first long one of a folder anywhere, so that thousands of
//! folders that were found together do not come in step.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::Config;

/// The share of its silence that a folder is left alone.
const SILENCE_SHARE: u32 = 10;
/// Pause after the first failure.
const FAILED_PAUSE_MIN: Duration = Duration::from_secs(1);

/// What a listing that reached the end says about the folder's rhythm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Something new was there; in a source with notifications, something that they should have told of.
    pub(super) news: bool,
    /// Objects were handed on, new or not: their claims may come back.
    pub(super) handed: bool,
    /// Nothing at all lies behind the watermark.
    pub(super) empty: bool,
    /// For how long nothing has come, by the objects of the open days; for ever if there was never anything.
    pub(super) silence: Duration,
}

/// What tells of new objects beside a folder's own listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    /// A queue, of every object.
    Notified,
    /// Sweeps, of the first object of a silent folder.
    Swept,
}

/// One folder's rhythm.
#[derive(Debug)]
pub(super) struct Pace {
    told: Told,
    doubling: Duration,
    /// When a listing last had news; in a source with notifications at first when the folder was found. What the first
    /// listing of a process finds says nothing about when more will come.
    news: Option<Instant>,
    first: bool,
    /// In a source with notifications: for how long nothing was missed at the last listing. The next one may know no more
    /// than that the open days are empty.
    silence: Option<(Instant, Duration)>,
    /// The last pause was one of silence.
    silent: bool,
    asleep: bool,
}

impl Pace {
    pub(super) fn new(config: &Config, told: Told) -> Self {
        let news = (told == Told::Notified).then(Instant::now);
        let doubling = config.poll_interval_min;
        Self { told, doubling, news, first: true, silence: None, silent: false, asleep: false }
    }

    /// Whether sweeps have to look for what is new until the next listing.
    pub(super) fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// Begins again with the shortest pause.
    pub(super) fn quicken(&mut self, config: &Config) {
        (self.doubling, self.news, self.silent) = (config.poll_interval_min, Some(Instant::now()), false);
        (self.silence, self.asleep) = (None, false);
    }

    /// The pause after a listing.
    pub(super) fn after(&mut self, found: Found, config: &Config) -> Duration {
        let first = std::mem::replace(&mut self.first, false);
        if found.news {
            let before = self.news;
            self.quicken(config);
            if first {
                (self.news, self.silence) = (before, Some((Instant::now(), found.silence)));
            }
            return cut(config.poll_interval_min, 0.9);
        }
        let doubling = self.doubling;
        self.doubling = (doubling * 2).min(config.poll_interval_max);
        let since_news = self.news.map(|at| at.elapsed());
        let sleeps = self.told == Told::Swept && found.empty;
        let (silence, most) = if self.told == Told::Notified {
            let before = self.silence.map_or(Duration::ZERO, |(at, silence)| silence.saturating_add(at.elapsed()));
            let silence = before.max(found.silence);
            self.silence = Some((Instant::now(), silence));
            (since_news.unwrap_or_default().max(silence), config.sweep_interval_max)
        } else {
            let most = if sleeps { config.sweep_interval_max } else { config.idle_interval_max };
            (since_news.unwrap_or(Duration::MAX).min(found.silence), most)
        };
        let share = (silence / SILENCE_SHARE).min(most);
        if found.handed || share <= doubling || most <= config.poll_interval_max {
            (self.silent, self.asleep) = (false, false);
            return cut(doubling, 0.9);
        }
        self.asleep = sleeps;
        let share = if sleeps { most } else { share };
        let begins = !std::mem::replace(&mut self.silent, true);
        cut(share, if begins { 0.1 } else { 0.9 }).max(cut(config.poll_interval_max, 0.9).min(share))
    }
}

/// The pause after so many failures in a row: doubling, shortened by chance so that a thousand folders behind one broken
/// role do not come back in step.
pub(super) fn failed_pause(failures: u32, max: Duration) -> Duration {
    let doubled =
        FAILED_PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(max.max(FAILED_PAUSE_MIN));
    cut(doubled, 0.5)
}

/// The pause, shortened by chance to no less than this share of it.
pub(super) fn cut(pause: Duration, least: f64) -> Duration {
    pause.mul_f64(rand::rng().random_range(least..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOTHING: Found = Found { news: false, handed: false, empty: true, silence: Duration::MAX };

    fn within(pause: Duration, least: Duration, most: Duration) {
        assert!((least..=most).contains(&pause), "{pause:?} is not within {least:?} and {most:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_after_news_and_then_grow_with_the_silence() {
        let config = Config::default();
        let mut pace = Pace::new(&config, Told::Nothing);
        let secs = Duration::from_secs;
        for (found, most) in [(true, 10), (false, 10), (false, 20), (false, 40), (false, 80), (false, 160)] {
            let pause = pace.after(Found { news: found, silence: Duration::ZERO, ..NOTHING }, &config);
            within(pause, secs(most) * 9 / 10, secs(most));
        }
        let after = |pace: &mut Pace, silence| pace.after(Found { silence, ..NOTHING }, &config);
        within(after(&mut pace, HOUR / 2), secs(270), secs(300));
        tokio::time::sleep(5 * HOUR).await;
        within(after(&mut pace, 5 * HOUR), secs(270), secs(1800));
        within(after(&mut pace, 5 * HOUR), secs(1620), secs(1800));
        tokio::time::sleep(100 * HOUR).await;
        within(after(&mut pace, Duration::MAX), HOUR * 9 / 10, HOUR);
        let handed = pace.after(Found { handed: true, ..NOTHING }, &config);
        within(handed, secs(270), secs(300));
        let news = pace.after(Found { news: true, ..NOTHING }, &config);
        within(news, secs(9), secs(10));
        within(pace.after(NOTHING, &config), secs(9), secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn old_objects_that_a_first_listing_takes_make_no_folder_a_busy_one() {
        let config = Config::default();
        let mut pace = Pace::new(&config, Told::Nothing);
        let old = Duration::from_secs(30 * 24 * 3600);
        pace.after(Found { news: true, handed: true, empty: false, silence: old }, &config);
        within(pace.after(Found { silence: old, ..NOTHING }, &config), Duration::from_secs(270), HOUR);
        pace.after(Found { news: true, handed: true, empty: false, silence: old }, &config);
        let next = pace.after(Found { silence: old, ..NOTHING }, &config);
        within(next, Duration::from_secs(9), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_was_silent_before_the_process_began_is_left_alone_at_once() {
        let config = Config::default();
        let mut pauses: Vec<_> = (0..1000).map(|_| Pace::new(&config, Told::Nothing).after(NOTHING, &config)).collect();
        pauses.sort_unstable();
        within(pauses[0], Duration::from_secs(270), HOUR / 5);
        within(pauses[500], HOUR * 2 / 5, HOUR * 7 / 10);
        within(pauses[999], HOUR * 9 / 10, HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_sleeps_when_its_open_days_are_empty_and_sweeps_look_after_it() {
        let config = Config::default();
        let mut pace = Pace::new(&config, Told::Swept);
        let after = |pace: &mut Pace, empty, hours: u32| {
            let pause = pace.after(Found { empty, silence: hours * HOUR, ..NOTHING }, &config);
            (pause, pace.is_asleep())
        };
        let (pause, asleep) = after(&mut pace, false, 20);
        within(pause, Duration::from_secs(9), HOUR);
        assert!(!asleep, "a late object of an open day would not show in a sweep");
        let (pause, asleep) = after(&mut pace, true, 50);
        within(pause, 2 * HOUR, 24 * HOUR);
        assert!(asleep);
        let (pause, asleep) = after(&mut pace, true, 1000);
        within(pause, 21 * HOUR, 24 * HOUR);
        assert!(asleep);
        pace.after(Found { news: true, handed: true, empty: false, silence: Duration::ZERO }, &config);
        assert!(!pace.is_asleep());
        let mut unswept = Pace::new(&config, Told::Nothing);
        within(after(&mut unswept, true, 1000).0, HOUR / 12, HOUR);
        assert!(!unswept.is_asleep());
    }

    #[tokio::test(start_paused = true)]
    async fn a_notified_folder_is_swept_ever_less_often_while_nothing_was_missed() {
        let config = Config::default();
        let mut pace = Pace::new(&config, Told::Notified);
        let busy = Found { empty: false, silence: Duration::ZERO, ..NOTHING };
        let mut listings = 0;
        let began = Instant::now();
        while began.elapsed() < 30 * 24 * HOUR {
            tokio::time::sleep(pace.after(busy, &config)).await;
            listings += 1;
        }
        // Five of doubling, ten for each e-fold from fifty minutes to ten days, one a day since then.
        assert!((60..=110).contains(&listings), "{listings} listings in thirty days");
        within(pace.after(busy, &config), 21 * HOUR, 24 * HOUR);
        within(pace.after(Found { news: true, ..busy }, &config), Duration::from_secs(9), Duration::from_secs(10));
    }

    #[test]
    fn failures_double_the_pause_up_to_the_longest() {
        let max = Duration::from_secs(300);
        within(failed_pause(1, max), Duration::from_millis(500), Duration::from_secs(1));
        within(failed_pause(4, max), Duration::from_secs(4), Duration::from_secs(8));
        within(failed_pause(40, max), max / 2, max);
    }
}
