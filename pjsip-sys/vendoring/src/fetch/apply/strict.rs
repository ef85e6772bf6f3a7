//! A unified diff without loose ends.

/// Refuses what a lenient parser skips as prose: a file without a hunk, a damaged hunk header, and
/// lines outside of every hunk because its header counts too few. Such a patch would be applied in
/// part, and a missing half of a fix is not seen.
pub(super) fn check(patch: &[u8]) -> Result<(), String> {
    // Lines that the hunk still has, before and after the change.
    let (mut before, mut after) = (0_u32, 0_u32);
    // Hunks since the last `+++`; prose before the first.
    let mut hunks: Option<usize> = None;
    let patch = patch.strip_suffix(b"\n").unwrap_or(patch);
    for (index, line) in patch.split(|byte| *byte == b'\n').enumerate() {
        let damaged = |what: &str| Err(format!("line {}: {what}", index + 1));
        if before > 0 || after > 0 {
            let (less_before, less_after) = match line.first() {
                None | Some(b' ') => (1, 1),
                Some(b'-') => (1, 0),
                Some(b'+') => (0, 1),
                Some(b'\\') => (0, 0),
                Some(_) => return damaged("the hunk ends too early"),
            };
            match (before.checked_sub(less_before), after.checked_sub(less_after)) {
                (Some(rest_before), Some(rest_after)) => (before, after) = (rest_before, rest_after),
                _ => return damaged("the hunk has other lines than its header says"),
            }
        } else if line.starts_with(b"+++ ") {
            if hunks == Some(0) {
                return damaged("the file before has no hunk");
            }
            hunks = Some(0);
        } else if line.starts_with(b"@@") {
            let (Some(count), Some(ranges)) = (hunks, ranges(line)) else {
                return damaged("the hunk's header is damaged, or no file is named before");
            };
            hunks = Some(count + 1);
            (before, after) = ranges;
        } else if hunks.is_some_and(|count| count > 0) && is_loose(line) {
            return damaged("it belongs to no hunk");
        }
    }
    if before > 0 || after > 0 {
        return Err("its last hunk ends too early".to_owned());
    }
    match hunks {
        None => Err("it names no file".to_owned()),
        Some(0) => Err("its last file has no hunk".to_owned()),
        Some(_) => Ok(()),
    }
}

/// Looks like a line of a hunk; `--- a/file` and the signature `-- ` of a mail do not count.
fn is_loose(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'+' | b'-')) && !line.starts_with(b"--")
}

/// Numbers of lines in `@@ -1,3 +1,4 @@`.
fn ranges(header: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(header).ok()?;
    let (ranges, _) = text.strip_prefix("@@ -")?.split_once(" @@")?;
    let (before, after) = ranges.split_once(" +")?;
    let count = |range: &str| {
        let (start, count) = range.split_once(',').unwrap_or((range, "1"));
        start.parse::<u32>().ok().and(count.parse().ok())
    };
    Some((count(before)?, count(after)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Prose.\n@handle\n--- a/x\n+++ b/x\n";

    #[test]
    fn whole_patches() {
        for hunks in [
            "@@ -1 +1 @@\n-a\n+b\n",
            "@@ -1,2 +1,2 @@ int main()\n a\n-b\n\\ No newline at end of file\n+c\n",
            "@@ -1,2 +1 @@\n\n--- i;\n@@ -9,0 +8 @@\n+++ i;\n-- \n2.39.5\n\n",
            "@@ -1 +1 @@\n-a\n+b\ndiff --git a/y b/y\nindex 1..2\n--- a/y\n+++ b/y\n@@ -0,0 +1 @@\n+a\n",
        ] {
            assert_eq!(check(format!("{HEAD}{hunks}").as_bytes()), Ok(()), "{hunks}");
        }
    }

    #[test]
    fn damaged_patches() {
        for (hunks, reason) in [
            ("", "its last file has no hunk"),
            ("@ -1 +1 @@\n-a\n+b\n", "its last file has no hunk"),
            ("@@ -1 +x @@\n-a\n+b\n", "line 5: the hunk's header is damaged, or no file is named before"),
            ("@@ -1 +1 @@\n-a\n+b\n+c\n", "line 8: it belongs to no hunk"),
            ("@@ -1 +1 @@\n-a\n+b\n@ -1 +1 @@\n-a\n+b\n", "line 9: it belongs to no hunk"),
            ("@@ -1,2 +1,2 @@\n-a\n+b\n@@ -1 +1 @@\n", "line 8: the hunk ends too early"),
            ("@@ -1,2 +1,2 @@\n a\n-b\n-c\n", "line 8: the hunk has other lines than its header says"),
            ("@@ -1,2 +1,2 @@\n a\n", "its last hunk ends too early"),
            ("--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n", "line 6: the file before has no hunk"),
        ] {
            assert_eq!(check(format!("{HEAD}{hunks}").as_bytes()), Err(reason.to_owned()), "{hunks}");
        }
        assert_eq!(check(b"Only prose.\n"), Err("it names no file".to_owned()));
    }
}
