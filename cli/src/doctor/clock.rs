//! How far this machine's clock may be off, and what to say of it.
//!
//! AWS takes requests whose signature is up to 5 minutes off its own time, S3 up to 15 (IAM user guide, "Signature Version 4";
//! S3 API reference, RequestTimeTooSkewed). Requests of the SDK are signed by the service's clock once one was answered, so
//! that a wrong clock can go unnoticed until something else asks.

use jiff::SignedDuration;
use orgtrail_cloud::server_clock::Reading;

use super::check::{Advice, Chain, Check, Outcome};

const CLOCK: &str = "clock";
/// Further off than NTP ever leaves a clock.
const WARN: SignedDuration = SignedDuration::from_secs(30);
/// Further off, requests are refused.
const FAIL: SignedDuration = SignedDuration::from_mins(5);

/// What to do.
pub(super) const WRONG: &str = "the clock of this machine is wrong: correct it, and keep it with NTP or chrony. AWS refuses requests \
                                that are signed more than 5 minutes (S3: 15) off its own time, and every time that orgtrail \
                                writes goes by this clock";

/// Compares with STS, which every source and trail in AWS asks first; nothing where nobody asked.
pub(super) fn of_machine(reading: Option<Reading>) -> Vec<Check> {
    let mut chain = Chain::new("this machine");
    if let Some(reading) = reading {
        tell(reading, "AWS's (STS)", &mut chain);
    }
    chain.end()
}

/// Says how far apart the clocks are. `whose` is the other's.
pub(super) fn tell(reading: Reading, whose: &str, chain: &mut Chain) {
    let Reading { ahead, uncertainty } = reading;
    let outcome = judge(reading);
    if outcome == Outcome::Ok {
        return chain.ok(CLOCK, format!("within {} s of {whose}", (ahead.abs() + uncertainty).as_secs() + 1));
    }
    let side = if ahead.is_positive() { "behind" } else { "ahead of" };
    let seconds = ahead.abs().as_secs();
    let detail =
        format!("this machine's clock is {seconds} s {side} {whose}, give or take {} s", uncertainty.as_secs() + 1);
    let advice = vec![Advice::text(WRONG)];
    match outcome {
        Outcome::Failed => chain.fail(CLOCK, detail, advice),
        _ => chain.warn(CLOCK, detail, advice),
    }
}

/// By the least that it can be.
fn judge(reading: Reading) -> Outcome {
    let least = reading.ahead.abs() - reading.uncertainty;
    if least > FAIL {
        Outcome::Failed
    } else if least > WARN {
        Outcome::Warning
    } else {
        Outcome::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_seconds_are_a_warning_and_five_minutes_a_failure_either_way() {
        for (seconds, outcome) in [
            (0, Outcome::Ok),
            (30, Outcome::Ok),
            (40, Outcome::Warning),
            (299, Outcome::Warning),
            (302, Outcome::Failed),
        ] {
            for seconds in [seconds, -seconds] {
                let ahead = SignedDuration::from_secs(seconds);
                let reading = Reading { ahead, uncertainty: SignedDuration::from_secs(1) };
                assert_eq!(judge(reading), outcome, "{seconds}");
            }
        }
        // A slow answer proves little.
        let slow = Reading { ahead: SignedDuration::from_secs(40), uncertainty: SignedDuration::from_secs(15) };
        assert_eq!(judge(slow), Outcome::Ok);
    }

    #[test]
    fn which_way_it_is_off_is_said() {
        let reading = |seconds| Reading {
            ahead: SignedDuration::from_secs(seconds),
            uncertainty: SignedDuration::from_millis(600),
        };
        let said = |seconds| of_machine(Some(reading(seconds))).remove(0).detail;
        assert_eq!(said(420), "this machine's clock is 420 s behind AWS's (STS), give or take 1 s");
        assert_eq!(said(-60), "this machine's clock is 60 s ahead of AWS's (STS), give or take 1 s");
        assert_eq!(said(0), "within 1 s of AWS's (STS)");
        assert!(of_machine(None).is_empty());
    }
}
