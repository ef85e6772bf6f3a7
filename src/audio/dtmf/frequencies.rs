//! The eight frequencies of the keypad (ITU-T Q.23).

use super::Digit;

/// One for each row of keys, in Hz.
pub(super) const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
/// One for each column of keys, in Hz.
pub(super) const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// The keys as they lie.
const KEYPAD: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// The key at a place.
pub(super) fn key(row: usize, column: usize) -> Option<Digit> {
    Digit::try_from(*KEYPAD.get(row)?.get(column)?).ok()
}

/// The two frequencies of a key, in Hz.
pub(super) fn pair(digit: Digit) -> (f32, f32) {
    let key = digit.as_char();
    let place = KEYPAD.iter().enumerate().find_map(|(row, keys)| {
        keys.iter().position(|other| *other == key).map(|column| (ROWS[row], COLUMNS[column]))
    });
    place.unwrap_or((ROWS[0], COLUMNS[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_frequencies_of_the_recommendation() {
        for (key, frequencies) in
            [('1', (697.0, 1209.0)), ('0', (941.0, 1336.0)), ('#', (941.0, 1477.0)), ('D', (941.0, 1633.0))]
        {
            assert_eq!(pair(Digit::try_from(key).unwrap()), frequencies, "{key}");
        }
        for event in 0..16 {
            let digit = Digit::from_event(event).unwrap();
            let (row, column) = pair(digit);
            let row = ROWS.iter().position(|frequency| *frequency == row).unwrap();
            let column = COLUMNS.iter().position(|frequency| *frequency == column).unwrap();
            assert_eq!(super::key(row, column), Some(digit));
        }
    }
}
