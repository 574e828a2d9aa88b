//! The generator's random numbers: a small sequence that is the same on every machine and with every version of every
//! dependency, because "same plan, same bytes" is a promise of the generator. Nothing here is fit for secrets.

/// A splitmix64 sequence.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &[u8; 16] = b"0123456789abcdef";
/// What access key ids and role ids are written in.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The alphabets random text is drawn from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alphabet {
    Hex,
    Base32,
    Alphanumeric,
    Base64,
}

impl Random {
    /// A sequence of its own for every (seed, purpose): what one part draws never moves what another gets.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a: short inputs, no dependency, fixed for ever.
        let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut random = Self(seed ^ hash);
        random.next();
        random
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `from..=to`.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// A fraction in `0.0..1.0`.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in `share` of the calls.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.fraction() < share
    }

    /// One of `items`, which must not be empty.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// A draw of the normal distribution with mean 0 and deviation 1, good enough for sizes (sum of twelve).
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.fraction()).sum::<f64>() - 6.0
    }

    /// Puts `items` into another order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }

    /// Appends `count` characters of `alphabet`.
    pub(super) fn text(&mut self, alphabet: Alphabet, count: usize, out: &mut Vec<u8>) {
        let mut word = 0;
        for position in 0..count {
            // Six bits a character at most, ten characters a word.
            if position % 10 == 0 {
                word = self.next();
            }
            out.push(match alphabet {
                Alphabet::Hex => HEX[(word & 15) as usize],
                Alphabet::Base32 => BASE32[(word & 31) as usize],
                Alphabet::Base64 => BASE64[(word & 63) as usize],
                // 64 values on 62 characters: the small bias is of no consequence here.
                Alphabet::Alphanumeric => ALPHANUMERIC[(word & 63) as usize % 62],
            });
            word >>= 6;
        }
    }

    /// `count` characters of `alphabet` as a string.
    pub(super) fn string(&mut self, alphabet: Alphabet, count: usize) -> String {
        let mut out = Vec::with_capacity(count);
        self.text(alphabet, count, &mut out);
        String::from_utf8(out).expect("every alphabet is ASCII")
    }

    /// Appends a version 4 UUID.
    pub(super) fn uuid(&mut self, out: &mut Vec<u8>) {
        let mut nibbles = [0_u8; 32];
        for half in nibbles.chunks_exact_mut(16) {
            let mut word = self.next();
            for nibble in half {
                *nibble = (word & 15) as u8;
                word >>= 4;
            }
        }
        nibbles[12] = 4;
        nibbles[16] = 8 | (nibbles[16] & 3);
        for (position, nibble) in nibbles.into_iter().enumerate() {
            if matches!(position, 8 | 12 | 16 | 20) {
                out.push(b'-');
            }
            out.push(HEX[usize::from(nibble)]);
        }
    }
}
