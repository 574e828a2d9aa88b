//! The shapes that configuration values take: byte sizes such as `"4MiB"` and durations such as `"30s"`.
//!
//! It owns how they are written and read; what a value may be is checked by the module that uses it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Durations in configuration files: `#[serde(with = "orgtrail_service::shape::duration")]` reads `"1h 30m"`, `"30s"`.
pub use humantime_serde as duration;

/// A number of bytes, written as `"4MiB"`, `"200kB"`, `"1.5 GiB"` or a whole number of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `n` × 1024 bytes.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n * bytesize::KIB)
    }

    /// `n` × 1024² bytes.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n * bytesize::MIB)
    }

    /// `n` × 1024³ bytes.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n * bytesize::GIB)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; saturates on a 32-bit machine.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The value in the largest unit that divides it, if any: `4194304` is `4 MiB` to the last byte.
    fn exact(self) -> Option<(u64, &'static str)> {
        const UNITS: [(u64, &str); 8] = [
            (bytesize::TIB, "TiB"),
            (bytesize::TB, "TB"),
            (bytesize::GIB, "GiB"),
            (bytesize::GB, "GB"),
            (bytesize::MIB, "MiB"),
            (bytesize::MB, "MB"),
            (bytesize::KIB, "KiB"),
            (bytesize::KB, "kB"),
        ];
        UNITS
            .into_iter()
            .find(|(unit, _)| self.0 != 0 && self.0.is_multiple_of(*unit))
            .map(|(unit, name)| (self.0 / unit, name))
    }
}

/// For people: `4 MiB`, `1.3 GiB`, `17 B`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exact() {
            Some((count, unit)) if count < 10_000 => f.pad(&format!("{count} {unit}")),
            _ => f.pad(&ByteSize(self.0).display().iec().to_string()),
        }
    }
}

/// A size that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size; write a number with a unit such as \"4MiB\" or \"200kB\", or a whole number of bytes")]
pub struct NotASize(String);

impl FromStr for Bytes {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        text.trim().parse::<ByteSize>().map(|size| Self(size.0)).map_err(|_| NotASize(text.to_owned()))
    }
}

/// Lossless: the largest unit that divides the value, else plain bytes.
impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.exact() {
            Some((count, unit)) => serializer.collect_str(&format_args!("{count}{unit}")),
            None => serializer.serialize_u64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"4MiB\" or a whole number of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Bytes, E> {
                Ok(Bytes(count))
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Bytes, E> {
                u64::try_from(count).map(Bytes).map_err(|_| E::custom(NotASize(count.to_string())))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A duration for people, to the second: `2h 3m 5s`; below a second, to the millisecond.
#[must_use]
pub fn humane(duration: Duration) -> String {
    let rounded = if duration >= Duration::from_secs(1) {
        Duration::from_secs(duration.as_secs())
    } else {
        Duration::from_millis(u64::try_from(duration.as_millis()).expect("less than a second"))
    };
    humantime::format_duration(rounded).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    struct Part {
        size: Bytes,
        #[serde(with = "crate::shape::duration")]
        wait: Duration,
    }

    fn read(text: &str) -> Result<Part, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn sizes_are_read_in_every_spelling() {
        for (text, bytes) in [
            ("\"4MiB\"", 4 << 20),
            ("\"4 MiB\"", 4 << 20),
            ("\"200kB\"", 200_000),
            ("\"1.5GiB\"", 3 << 29),
            ("\"17\"", 17),
            ("17", 17),
            ("0", 0),
        ] {
            let part = read(&format!("size = {text}\nwait = \"1m 30s\"")).unwrap();
            assert_eq!(part, Part { size: Bytes(bytes), wait: Duration::from_secs(90) }, "{text}");
        }
    }

    #[test]
    fn a_bad_size_says_how_to_write_one() {
        for text in ["\"4 potatoes\"", "-1", "\"\""] {
            let error = read(&format!("size = {text}\nwait = \"1s\"")).unwrap_err();
            assert!(error.message().contains("\"4MiB\""), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_exactly() {
        for bytes in [0, 1, 1000, 1023, 1024, 4 << 20, 200_000, u64::MAX >> 1, 3 << 40] {
            let part = Part { size: Bytes(bytes), wait: Duration::from_millis(1500) };
            assert_eq!(read(&toml::to_string(&part).unwrap()).unwrap(), part);
        }
    }

    #[test]
    fn people_read_round_numbers() {
        assert_eq!(Bytes::mib(4).to_string(), "4 MiB");
        assert_eq!(Bytes(17).to_string(), "17 B");
        assert_eq!(Bytes(1_400_000_001).to_string(), "1.3 GiB");
        assert_eq!(humane(Duration::from_millis(7_385_123)), "2h 3m 5s");
        assert_eq!(humane(Duration::from_micros(250_400)), "250ms");
    }
}
